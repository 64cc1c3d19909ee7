// Command gotd moves files by gotd/td's own downloader and uploader. The
// package above says how it is called.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/gotd/td/session"
	"github.com/gotd/td/telegram"
	"github.com/gotd/td/tg"
)

// botToken is the one that every simulated cluster knows.
const botToken = "1:sim"

// settings are the flags.
type settings struct {
	datacenters, session, channel, path string
	connections, threads, part          int
	compress, hash                      bool
}

// A client is gotd's, signed in, with the channel looked up.
type client struct {
	settings
	*telegram.Client
	peer    *tg.InputPeerChannel
	channel *tg.InputChannel
}

// moved is what a command has done.
type moved struct {
	Bytes   int64   `json:"bytes"`
	Files   int     `json:"files"`
	Seconds float64 `json:"seconds"`
}

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "gotd:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	commands := map[string]func(context.Context, *client) (moved, error){
		"download": download, "upload": upload, "files": files,
	}
	if len(args) == 0 || commands[args[0]] == nil {
		return fmt.Errorf("want a command: download, upload or files")
	}
	s, err := parse(args)
	if err != nil {
		return err
	}
	options, err := clientOptions(s.datacenters)
	if err != nil {
		return err
	}
	options.SessionStorage = &session.FileStorage{Path: s.session}
	options.NoUpdates = true
	if !s.compress {
		options.CompressThreshold = -1
	}
	c := &client{settings: s, Client: telegram.NewClient(1, "0123456789abcdef0123456789abcdef", options)}
	return c.Run(ctx, func(ctx context.Context) error {
		if err := c.begin(ctx); err != nil {
			return err
		}
		start := time.Now()
		m, err := commands[args[0]](ctx, c)
		if err == nil && s.hash {
			err = hashFile(s.path)
		}
		if err != nil {
			return err
		}
		m.Seconds = time.Since(start).Seconds()
		return json.NewEncoder(os.Stdout).Encode(m)
	})
}

func parse(args []string) (s settings, err error) {
	f := flag.NewFlagSet(args[0], flag.ContinueOnError)
	f.StringVar(&s.datacenters, "datacenters", "", "datacenters file")
	f.StringVar(&s.session, "session", "", "session file")
	f.StringVar(&s.channel, "channel", "bench", "username of the channel")
	f.StringVar(&s.path, "path", "", "file or folder")
	f.IntVar(&s.connections, "connections", 8, "connections")
	f.IntVar(&s.threads, "threads", 8, "parts, or small files, at once")
	f.IntVar(&s.part, "part", 512<<10, "bytes of a part")
	f.BoolVar(&s.compress, "compress", true, "let it compress what it sends, as it does by default")
	f.BoolVar(&s.hash, "hash", false, "then compute the SHA-256 of the file")
	return s, f.Parse(args[1:])
}

// begin signs in, if that has not been done before, and looks up the channel.
func (c *client) begin(ctx context.Context) error {
	status, err := c.Auth().Status(ctx)
	if err != nil {
		return err
	}
	if !status.Authorized {
		if _, err := c.Auth().Bot(ctx, botToken); err != nil {
			return fmt.Errorf("sign in: %w", err)
		}
	}
	resolved, err := c.API().ContactsResolveUsername(ctx, &tg.ContactsResolveUsernameRequest{Username: c.settings.channel})
	if err != nil {
		return fmt.Errorf("resolve: %w", err)
	}
	if len(resolved.Chats) != 1 {
		return fmt.Errorf("@%s is %d chats", c.settings.channel, len(resolved.Chats))
	}
	channel, ok := resolved.Chats[0].(*tg.Channel)
	if !ok {
		return fmt.Errorf("@%s is a %T", c.settings.channel, resolved.Chats[0])
	}
	c.peer, c.channel = channel.AsInputPeer(), channel.AsInput()
	return nil
}
