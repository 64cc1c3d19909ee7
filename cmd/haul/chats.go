package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/tghaul/haul/telegram"
)

// A listedChat is one line of chats --json.
type listedChat struct {
	Chat        int64         `json:"chat"` // marked id
	Type        string        `json:"type"`
	Username    string        `json:"username"`
	Title       string        `json:"title"`
	LastMessage int           `json:"last_message"`
	Date        time.Time     `json:"date"` // of that message
	Unread      int           `json:"unread"`
	Pinned      bool          `json:"pinned"`
	Archived    bool          `json:"archived"`
	Protected   bool          `json:"protected"`
	Forum       bool          `json:"forum"`
	Topics      []listedTopic `json:"topics,omitempty"` // with --topics
}

type listedTopic struct {
	ID          int    `json:"id"`
	Title       string `json:"title"`
	LastMessage int    `json:"last_message"`
}

func chatsCommand() *cli.Command {
	return &cli.Command{
		Name: "chats", Usage: "list the chats of the account", ArgsUsage: "[NAME...]", OnUsageError: usageError,
		Description: "All of them, or those with one of the NAMEs in their title or username. What stands in the first column\n" +
			"names the chat to other commands.\n\nExample:\n   haul chats\n   haul chats lecture --topics",
		Flags: []cli.Flag{
			boolFlag("topics", "also the topics of each group that has some"),
			&cli.StringFlag{Name: "type", Usage: "only such chats: channel,group,user", EnvVars: []string{"HAUL_CHATS_TYPE"}},
		},
		Action: func(c *cli.Context) error {
			if err := applyCommandConfig(c); err != nil {
				return err
			}
			types, err := parseChatTypes(c.String("type"))
			if err != nil {
				return err
			}
			return withAccount(c, func(ctx context.Context, a *account) error { return listChats(ctx, c, a, types) })
		},
	}
}

// Types of chats.
const (
	typeChannel = "channel"
	typeGroup   = "group"
	typeUser    = "user"
)

func parseChatTypes(text string) (map[string]bool, error) {
	types := make(map[string]bool)
	for word := range strings.FieldsFuncSeq(strings.ToLower(text), func(r rune) bool { return r == ',' || r == ' ' }) {
		switch word {
		case typeChannel, typeGroup, typeUser:
			types[word] = true
		default:
			return nil, usagef("--type %q: want some of channel,group,user", word)
		}
	}
	return types, nil
}

func chatType(p telegram.Peer) string {
	switch {
	case p.Kind == telegram.PeerChannel && !p.Group:
		return typeChannel
	case p.Kind == telegram.PeerChannel || p.Kind == telegram.PeerChat:
		return typeGroup
	default:
		return typeUser
	}
}

// isNamed reports whether a chat has one of the names in its own; without names
// it has.
func isNamed(p telegram.Peer, names []string) bool {
	for _, name := range names {
		name = strings.ToLower(strings.TrimPrefix(name, "@"))
		if strings.Contains(strings.ToLower(p.Title), name) || strings.Contains(strings.ToLower(p.Username), name) {
			return true
		}
	}
	return len(names) == 0
}

// chatArgument is what names a chat on a command line.
func chatArgument(p telegram.Peer) string {
	if p.Username != "" {
		return "@" + p.Username
	}
	return strconv.FormatInt(p.MarkedID(), 10)
}

func listChats(ctx context.Context, c *cli.Context, a *account, types map[string]bool) error {
	if a.client.IsBot() {
		return fmt.Errorf("Telegram gives bots no list of their chats; name one (haul ls @name): %w", telegram.ErrUserOnly) //nolint:staticcheck // a name
	}
	table := tabwriter.NewWriter(c.App.Writer, 0, 4, 2, ' ', 0)
	lines := json.NewEncoder(c.App.Writer)
	if !c.Bool("json") {
		_, _ = fmt.Fprintln(table, "CHAT\tTYPE\tLAST MESSAGE\tUNREAD\tTITLE")
	}
	found := 0
	for d, err := range a.client.Dialogs(ctx) {
		if err != nil {
			return err
		}
		if !isNamed(d.Peer, c.Args().Slice()) || len(types) > 0 && !types[chatType(d.Peer)] {
			continue
		}
		found++
		topics, err := topicsOf(ctx, c, a, d.Peer)
		if err == nil && c.Bool("json") {
			err = lines.Encode(listedChat{
				d.Peer.MarkedID(), chatType(d.Peer), d.Peer.Username, d.Peer.Title, d.TopMessage, d.Date, d.Unread,
				d.Pinned, d.Archived, d.Peer.NoForwards, d.Peer.Forum, topics,
			})
		} else if err == nil {
			err = chatRow(table, d, topics)
		}
		if err != nil {
			return err
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if found == 0 && !c.Bool("json") {
		say(c, "no such chats")
	}
	return nil
}

// topicsOf lists the topics of a group, if they are wanted and it has some.
func topicsOf(ctx context.Context, c *cli.Context, a *account, p telegram.Peer) (list []listedTopic, err error) {
	if !c.Bool("topics") || !p.Forum {
		return nil, nil
	}
	for t, err := range a.client.Topics(ctx, p) {
		if err != nil {
			return nil, err
		}
		list = append(list, listedTopic{t.ID, t.Title, t.TopMessage})
	}
	return list, nil
}

func chatRow(table *tabwriter.Writer, d telegram.Dialog, topics []listedTopic) error {
	var notes []string
	for _, n := range []struct {
		is   bool
		word string
	}{{d.Pinned, "pinned"}, {d.Archived, "archived"}, {d.Peer.NoForwards, "protected"}, {d.Peer.Forum, "topics"}} {
		if n.is {
			notes = append(notes, n.word)
		}
	}
	title := printable(d.Peer.Title)
	if len(notes) > 0 {
		title += " (" + strings.Join(notes, ", ") + ")"
	}
	date := ""
	if !d.Date.IsZero() {
		date = d.Date.Local().Format("2006-01-02 15:04")
	}
	_, err := fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\n", chatArgument(d.Peer), chatType(d.Peer), date, d.Unread, title)
	for _, t := range topics {
		if err == nil {
			_, err = fmt.Fprintf(table, "  --topic %d\ttopic\t\t\t%s\n", t.ID, printable(t.Title))
		}
	}
	return err
}
