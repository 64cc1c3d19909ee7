package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/telegram/selection"
)

// selectionFlags say which files of chats are meant.
func selectionFlags() []cli.Flag {
	return []cli.Flag{
		stringFlag("from", "", "first message: an id, a date (2025-01-31, 2025-01, yesterday), or a time ago (12h, 7d, 3M)"),
		stringFlag("to", "", "last message, likewise; a day or month given here belongs to the range"),
		stringFlag("type", "", "kinds of files: photo,video,audio,voice,round,document,sticker,gif"),
		stringFlag("include", "", "only files with such names: \"*.jpg,*.png\" or \"*.{jpg,png}\""),
		stringFlag("exclude", "", "no files with such names"),
		stringFlag("min-size", "", "smallest size, such as 500k, 10M or 1.5G"),
		stringFlag("max-size", "", "largest size"),
		stringFlag("filter", "", "only files of which this is true: 'size > 50*MB and text contains \"lecture\"'; docs/guide.md lists the fields"),
		stringFlag("topic", "", "only this topic of a forum, by its title or id"),
		boolFlag("album", "of an album with a file that is meant take all files"),
		intFlag("limit", 0, "at most so many files, over all chats"),
		boolFlag("reverse", "oldest first"),
	}
}

// searchFlag is for commands that do not need the messages without files.
func searchFlag() cli.Flag {
	return boolFlag("search", "with --type photo or video: let Telegram search for them, which is faster in long chats; no search finds those in paid media, live photos, and new photos of the chat")
}

// parseSelection reads the flags. Times ago are counted back from now.
func parseSelection(c *cli.Context, now time.Time) (*selection.Selection, error) {
	s := &selection.Selection{
		Limit: c.Int("limit"), Reverse: c.Bool("reverse"), Album: c.Bool("album"), Comments: c.Bool("comments"), Lossy: c.Bool("search"),
	}
	var err error
	read := func(flag string, parse func(text string) error) {
		if err != nil {
			return
		}
		if e := parse(c.String(flag)); e != nil {
			err = usagef("--%s: %w", flag, e)
		}
	}
	read("from", func(text string) (err error) { s.From, err = selection.ParseBound(text, selection.First, now); return })
	read(rangeEnd(c), func(text string) (err error) { s.To, err = selection.ParseBound(text, selection.Last, now); return })
	read("type", func(text string) (err error) { s.Kinds, err = selection.ParseKinds(text); return })
	read("include", func(text string) (err error) { s.Include, err = selection.ParseGlobs(text); return })
	read("exclude", func(text string) (err error) { s.Exclude, err = selection.ParseGlobs(text); return })
	read("min-size", func(text string) (err error) { s.MinSize, err = selection.ParseSize(text); return })
	read("max-size", func(text string) (err error) { s.MaxSize, err = selection.ParseSize(text); return })
	read("topic", func(text string) (err error) { s.Topic, err = parseTopic(text); return })
	read("filter", func(text string) (err error) {
		if text != "" {
			s.Filter, err = selection.ParseFilter(text, now)
		}
		return
	})
	if err != nil {
		return nil, err
	}
	if err := s.Check(); err != nil {
		return nil, usagef("nothing can be meant: %w", err)
	}
	return s, nil
}

// parseTopic reads the id of a topic; it is 0 for a title, and for "".
func parseTopic(text string) (int, error) {
	id, err := strconv.ParseInt(text, 10, 32)
	switch {
	case err == nil && id > 0:
		return int(id), nil
	case err == nil || errors.Is(err, strconv.ErrRange):
		return 0, fmt.Errorf("%s is no id of a topic", text)
	default:
		return 0, nil
	}
}

// findTopic puts the id of the topic that --topic has named by its title into s.
func findTopic(ctx context.Context, c *cli.Context, a *account, s *selection.Selection, peers ...telegram.Peer) error {
	title := c.String("topic")
	if title == "" || s.Topic != 0 {
		return nil
	}
	for _, p := range peers {
		if p.MarkedID() != peers[0].MarkedID() {
			return usagef("--topic %q: several chats may have topics of that title: give its id, or one chat", title)
		}
	}
	if s.Comments || len(peers) == 0 {
		return usagef("--topic %q: of which group?", title)
	}
	var titles []string
	for t, err := range a.client.Topics(ctx, peers[0]) {
		if err != nil {
			return err
		}
		if strings.EqualFold(t.Title, title) {
			s.Topic = t.ID
			return nil
		}
		titles = append(titles, printable(t.Title))
	}
	return fmt.Errorf("%v has no topic %q; there are: %s", peers[0], title, strings.Join(titles, ", "))
}
