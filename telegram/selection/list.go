package selection

import (
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/tghaul/haul/telegram"
)

// A Source lists messages. *telegram.Client is one.
type Source interface {
	Messages(ctx context.Context, p telegram.Peer, o telegram.MessagesOptions) iter.Seq2[*telegram.Message, error]
}

// A Pass is one use of a selection, over one chat or several. It counts what
// was listed. It is not safe for concurrent use.
type Pass struct {
	s      *Selection
	source Source

	Files int   // yielded, of all chats
	Bytes int64 // of those
	// Protected are files that were meant, but must not be saved.
	Protected      int
	ProtectedBytes int64
	// Unread are posts of which the comments could not be read.
	Unread []telegram.Origin

	listed  map[listedFile]struct{} // nil unless Once was called
	leftOut map[messageKey]int      // protected files of the messages of the present group, and the comments on it
}

type messageKey struct {
	chat int64 // marked id
	id   int
}

// LeftOut is how many files of a message that a listing has just yielded were
// meant, but are protected. They may be had some day.
func (p *Pass) LeftOut(m *telegram.Message) int {
	return p.leftOut[messageKey{m.Peer.MarkedID(), m.ID}]
}

// NewPass begins to use a selection.
func NewPass(s *Selection, source Source) *Pass { return &Pass{s: s, source: source} }

// Full reports whether there are as many files as were wanted.
func (p *Pass) Full() bool { return p.s.Limit > 0 && p.Files >= p.s.Limit }

// Chat lists the messages of a chat that are within the bounds, each with those
// of its files that are meant. Messages without any come too, as far as
// FilesOnly does not spare them, so that who wants can record them. It ends
// after the first error, or when there are enough files.
func (p *Pass) Chat(ctx context.Context, peer telegram.Peer) iter.Seq2[*telegram.Message, error] {
	return p.List(ctx, p.source.Messages(ctx, peer, p.s.options()))
}

// Topic is Chat for one topic of a forum, whichever the selection says.
func (p *Pass) Topic(ctx context.Context, peer telegram.Peer, topic int) iter.Seq2[*telegram.Message, error] {
	o := p.s.options()
	o.Thread = topic
	return p.List(ctx, p.source.Messages(ctx, peer, o))
}

// IDs is Chat for given messages of a chat. Those that are not within the bounds
// come without files.
func (p *Pass) IDs(ctx context.Context, peer telegram.Peer, ids []int) iter.Seq2[*telegram.Message, error] {
	return p.List(ctx, func(yield func(*telegram.Message, error) bool) {
		for m, err := range p.source.Messages(ctx, peer, telegram.MessagesOptions{IDs: ids}) {
			if err == nil && !p.s.within(m) {
				m.Files, m.Comments = nil, 0
			}
			if !yield(m, err) {
				return
			}
		}
	})
}

// options are what the server can be told, or the client can leave out.
func (s *Selection) options() telegram.MessagesOptions {
	o := telegram.MessagesOptions{
		MinID: s.From.ID, MaxID: s.To.ID, From: s.From.Time, Until: s.To.Time, Reverse: s.Reverse, Thread: s.Topic,
	}
	if s.FilesOnly && !s.Album && !s.Comments {
		o.Kinds, o.Lossy = s.Kinds, s.Lossy
	}
	return o
}

// List is Chat for messages that come from elsewhere.
func (p *Pass) List(ctx context.Context, messages iter.Seq2[*telegram.Message, error]) iter.Seq2[*telegram.Message, error] {
	return func(yield func(*telegram.Message, error) bool) {
		for group, err := range p.groups(messages) {
			if p.Full() {
				return
			}
			if err == nil {
				clear(p.leftOut)
				err = p.choose(group)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			for _, m := range group {
				if !yield(m, nil) || !p.comments(ctx, m, yield) {
					return
				}
			}
			if p.Full() {
				return
			}
		}
	}
}

// maxAlbum bounds what is taken for one album. Telegram's have 10 items at most.
const maxAlbum = 100

// groups puts messages together of which the fate is one: each album, if albums
// are taken whole, and else each message alone.
func (p *Pass) groups(messages iter.Seq2[*telegram.Message, error]) iter.Seq2[[]*telegram.Message, error] {
	return func(yield func([]*telegram.Message, error) bool) {
		var held []*telegram.Message
		for m, err := range messages {
			if err == nil && len(held) > 0 && p.s.Album && m.GroupedID != 0 && m.GroupedID == held[0].GroupedID && len(held) < maxAlbum {
				held = append(held, m)
				continue
			}
			if len(held) > 0 && !yield(held, nil) {
				return
			}
			if held = nil; err != nil {
				yield(nil, err)
				return
			}
			if m.GroupedID == 0 || !p.s.Album {
				if !yield([]*telegram.Message{m}, nil) {
					return
				}
				continue
			}
			held = append(held, m)
		}
		if len(held) > 0 {
			yield(held, nil)
		}
	}
}

// choose leaves in the messages of a group the files that are meant, and counts.
func (p *Pass) choose(group []*telegram.Message) error {
	whole := false // all files are meant
	for _, m := range group {
		for i := range m.Files {
			meant, err := p.s.means(m, &m.Files[i])
			if err != nil {
				return err
			}
			if whole = whole || meant && len(group) > 1; whole {
				break
			}
		}
	}
	for _, m := range group {
		var err error
		m.Files = slices.DeleteFunc(m.Files, func(f telegram.File) bool {
			meant := whole
			if !whole && err == nil {
				meant, err = p.s.means(m, &f)
			}
			return !meant || p.Full() || p.again(m, &f) || !p.count(m, &f)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// count says whether a file that is meant may be had, and counts it.
func (p *Pass) count(m *telegram.Message, f *telegram.File) bool {
	if f.NoForwards {
		p.Protected++
		p.ProtectedBytes += f.Size
		if p.leftOut == nil {
			p.leftOut = make(map[messageKey]int)
		}
		p.leftOut[messageKey{m.Peer.MarkedID(), m.ID}]++
		return false
	}
	p.Files++
	p.Bytes += f.Size
	return true
}

// comments lists what was written in answer to a post, if that is meant. It
// reports whether to go on.
func (p *Pass) comments(ctx context.Context, post *telegram.Message, yield func(*telegram.Message, error) bool) bool {
	if !p.s.Comments || post.Comments == 0 || post.CommentsIn == 0 {
		return true
	}
	answers := p.source.Messages(ctx, post.Peer, telegram.MessagesOptions{Thread: post.ID, Reverse: p.s.Reverse})
	for group, err := range p.groups(answers) {
		if errors.Is(err, telegram.ErrNoThread) { // deleted meanwhile, or in a group that is closed
			p.Unread = append(p.Unread, telegram.Origin{Peer: post.Peer, MessageID: post.ID})
			return true
		}
		if err == nil {
			err = p.choose(group)
		}
		if err != nil {
			yield(nil, err)
			return false
		}
		for _, m := range group {
			if !yield(m, nil) {
				return false
			}
		}
		if p.Full() {
			return false
		}
	}
	return true
}
