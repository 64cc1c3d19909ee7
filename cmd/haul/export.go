package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/telegram/selection"
	"github.com/tghaul/haul/transfer"
)

// An exportFile is what dl --file names: messages, listed by another program. It
// is read twice: to the end before anything is asked for, and again while its
// files are fetched, so that no list of it is kept.
type exportFile struct {
	path  string
	chats []selection.ExportChat
	peers []telegram.Peer // resolved, of chats
}

// readExport checks a file and resolves its chats.
func readExport(ctx context.Context, a *account, path string) (*exportFile, error) {
	x := &exportFile{path: path}
	err := x.read(func(chats []selection.ExportChat, err error) error { x.chats = chats; return err }, func(int, int) error { return ctx.Err() })
	if err != nil {
		return nil, err
	}
	for _, c := range x.chats {
		p := telegram.Peer{}
		if c.Messages > 0 { // others are not worth a question
			if p, err = resolveExported(ctx, a, c); err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
		}
		x.peers = append(x.peers, p)
	}
	return x, nil
}

// read reads the file once.
func (x *exportFile) read(end func([]selection.ExportChat, error) error, use func(chat, id int) error) error {
	f, err := os.Open(x.path)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	chats, err := selection.ReadExport(f, use)
	if errors.Is(err, selection.ErrExport) {
		err = usagef("%s: %w", x.path, err)
	}
	return end(chats, err)
}

// resolveExported finds the chat that an export means, of those that it may be.
func resolveExported(ctx context.Context, a *account, c selection.ExportChat) (telegram.Peer, error) {
	var last error
	for _, p := range c.Peers {
		if p.Kind == telegram.PeerSelf {
			return a.client.ResolveLink(ctx, telegram.Link{Self: true})
		}
		found, err := a.client.ResolveLink(ctx, telegram.Link{ID: p.MarkedID()})
		if err == nil || !errors.Is(err, telegram.ErrPeerNotFound) {
			return found, err
		}
		last = fmt.Errorf("chat %d: %w", p.MarkedID(), err)
	}
	return telegram.Peer{}, last
}

// exportLump is how many messages are asked for at once.
const exportLump = 100

// errEnough ends the reading of an export.
var errEnough = errors.New("enough")

// exported lists the messages that the export names, in its order. One that is
// not there any more is missed.
func (l *fetchList) exported(ctx context.Context) iter.Seq2[*telegram.Message, error] {
	return func(yield func(*telegram.Message, error) bool) {
		at, ids := 0, []int(nil)
		flush := func() error {
			if len(ids) == 0 {
				return nil
			}
			missing := make(map[int]bool, len(ids))
			for _, id := range ids {
				missing[id] = true
			}
			peer := l.export.peers[at]
			for m, err := range l.pass.IDs(ctx, peer, ids) {
				if err == nil {
					delete(missing, m.ID)
				}
				if !yield(m, err) || err != nil {
					return errEnough
				}
			}
			if l.pass.Full() {
				return errEnough
			}
			for _, id := range ids {
				if missing[id] {
					l.miss(messageName(peer, id), transfer.ErrGone)
				}
			}
			ids = ids[:0]
			return nil
		}
		err := l.export.read(func(_ []selection.ExportChat, err error) error { return err }, func(chat, id int) error {
			if chat >= len(l.export.peers) {
				return fmt.Errorf("%s has changed meanwhile", l.export.path)
			}
			if chat != at || len(ids) == exportLump {
				if err := flush(); err != nil {
					return err
				}
				at = chat
			}
			ids = append(ids, id)
			return nil
		})
		if err == nil {
			err = flush()
		}
		if err != nil && !errors.Is(err, errEnough) {
			yield(nil, err)
		}
	}
}
