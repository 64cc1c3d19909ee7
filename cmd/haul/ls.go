package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/tghaul/haul/telegram/selection"
	"github.com/tghaul/haul/transfer"
)

// openDir opens a folder to write into, and makes it if there is none.
func openDir(dir string) (*os.Root, error) {
	err := os.MkdirAll(dir, 0o755)
	if err == nil {
		var root *os.Root
		if root, err = os.OpenRoot(dir); err == nil {
			return root, nil
		}
	}
	return nil, transfer.AsTargetError(dir, err)
}

// A listed file is one line of ls --json.
type listed struct {
	Message int       `json:"message"`
	Date    time.Time `json:"date"`
	ID      int64     `json:"id,string"`
	Kind    string    `json:"kind"`
	Size    int64     `json:"size"`
	DC      int       `json:"dc"`
	Mime    string    `json:"mime"`
	Name    string    `json:"name"`
}

// listedProtected tells of the files that were not listed since they must not be
// saved: to people beside the list, to programs in its last line.
func listedProtected(c *cli.Context, pass *selection.Pass) error {
	if pass.Protected == 0 {
		return nil
	}
	if c.Bool("json") {
		return json.NewEncoder(c.App.Writer).Encode(protectedOf(pass))
	}
	say(c, "%s", protectedLine(pass))
	return nil
}

func lsCommand() *cli.Command {
	return &cli.Command{
		Name: "ls", Usage: "list the media of a chat, or of an archive", ArgsUsage: "[CHAT]", OnUsageError: usageError,
		Description: "Example:\n   haul --datacenters dc.json ls @bigchannel --type video --limit 10\n" +
			"   haul ls --local out --type video --from 2024-01",
		Flags: append(selectionFlags(), searchFlag(), localFlag()),
		Action: func(c *cli.Context) error {
			if err := applyCommandConfig(c); err != nil {
				return err
			}
			if c.NArg() != 1 && c.String("local") == "" {
				return usagef("which chat? haul ls @name")
			}
			s, err := parseSelection(c, time.Now())
			if err != nil {
				return err
			}
			s.FilesOnly = true
			if c.String("local") != "" {
				return listLocal(c, s)
			}
			if err := checkChats(c.Args().First()); err != nil {
				return err
			}
			return withAccount(c, func(ctx context.Context, a *account) error {
				pass := selection.NewPass(s, a.client)
				peer, err := a.client.Resolve(ctx, c.Args().First())
				if err == nil {
					err = findTopic(ctx, c, a, s, peer)
				}
				if err != nil {
					return err
				}
				table := tabwriter.NewWriter(c.App.Writer, 0, 4, 2, ' ', 0)
				lines := json.NewEncoder(c.App.Writer)
				for m, err := range pass.Chat(ctx, peer) {
					if err != nil {
						return err
					}
					for _, f := range m.Files {
						if c.Bool("json") {
							err = lines.Encode(listed{m.ID, m.Date, f.ID, string(f.Kind), f.Size, f.DC, f.MimeType, f.Name})
						} else {
							_, err = fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\n", m.ID, m.Date.Format("2006-01-02 15:04"), f.Kind, size(f.Size), transfer.SafeName(f.Name))
						}
						if err != nil {
							return err
						}
					}
				}
				if err := table.Flush(); err != nil {
					return err
				}
				return listedProtected(c, pass)
			})
		},
	}
}
