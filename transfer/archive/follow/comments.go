package follow

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/transfer/archive"
)

// openFor is how long comments on a post are looked for by later runs: nearly
// all come within days. Until then the post does not count as done.
const openFor = 7 * 24 * time.Hour

// comments are those on the posts of a chat. They go into the archive of the
// discussion group, which also gets the copies of the posts that they answer.
// A post is done when the files in its comments are, too.
type comments struct {
	chat *Chat
	post int  // whose comments are coming; 0: none
	hold bool // the post has an entry that is over when they have come
	keep bool // for ever: the post is young, or a comment has protected files
	// heads are copies of posts to be fetched, by group.
	heads map[int64]*heads

	mu sync.Mutex
	of map[comment]*onPost // comments of which files are under way
}

// An onPost is a comment on a post, with how many of its files are not over.
type onPost struct{ post, files int }

type comment struct {
	group   int64 // marked id
	message int
}

type heads struct {
	peer telegram.Peer
	ids  []int
}

// holds is how many entries a post has beside its own files.
func (t *comments) holds(m *telegram.Message) int {
	if !t.chat.o.Selection.Comments || m.CommentsIn == 0 {
		return 0
	}
	t.post, t.hold, t.keep = m.ID, true, time.Since(m.Date) < openFor
	return 1
}

// next is called before the next post, when the comments on the last have come.
func (t *comments) next(ctx context.Context, m *telegram.Message) error {
	t.release()
	for _, h := range t.heads {
		if len(h.ids) >= lump {
			return t.fetch(ctx, h)
		}
	}
	return nil
}

func (t *comments) release() {
	if t.hold && t.chat.track != nil {
		unread := t.chat.o.Pass.Unread
		bad := len(unread) > 0 && unread[len(unread)-1].MessageID == t.post
		if bad || !t.keep {
			t.chat.track.FileOver(t.post, !bad)
		}
	}
	t.hold = false
}

// take records a comment and yields its files.
func (t *comments) take(ctx context.Context, m *telegram.Message, y yield) error {
	c := t.chat
	t.keep = t.keep || c.o.Pass.LeftOut(m) > 0
	folder, err := c.o.Folder(m.Peer)
	if err != nil {
		return err
	}
	if !c.o.Dry {
		if err := c.o.Room(ctx, func() error { _, err := folder.AddMessage(m); return err }); err != nil {
			return err
		}
		t.head(m, folder)
	}
	list, err := c.o.Downloads(ctx, folder, m)
	if err != nil {
		return err
	}
	if c.track != nil && len(list) > 0 {
		t.mu.Lock()
		if t.of == nil {
			t.of = make(map[comment]*onPost)
		}
		t.of[comment{m.Peer.MarkedID(), m.ID}] = &onPost{t.post, len(list)}
		t.mu.Unlock()
		c.track.More(t.post, len(list))
	}
	return y.all(list)
}

// head notes the message that a comment answers, if the archive lacks it.
func (t *comments) head(m *telegram.Message, folder *archive.Archive) {
	if m.ReplyTo == 0 || folder.HasMessage(m.ReplyTo) {
		return
	}
	if t.heads == nil {
		t.heads = make(map[int64]*heads)
	}
	h := t.heads[m.Peer.MarkedID()]
	if h == nil {
		h = &heads{peer: m.Peer}
		t.heads[m.Peer.MarkedID()] = h
	}
	if !slices.Contains(h.ids, m.ReplyTo) {
		h.ids = append(h.ids, m.ReplyTo)
	}
}

// flush ends the comments of a listing.
func (t *comments) flush(ctx context.Context) error {
	t.release()
	for _, h := range t.heads {
		if err := t.fetch(ctx, h); err != nil {
			return err
		}
	}
	return nil
}

// fetch records the messages that comments answer.
func (t *comments) fetch(ctx context.Context, h *heads) error {
	ids := h.ids
	h.ids = nil
	folder, err := t.chat.o.Folder(h.peer)
	if err != nil || len(ids) == 0 {
		return err
	}
	for m, err := range t.chat.source.Messages(ctx, h.peer, telegram.MessagesOptions{IDs: ids}) {
		if err == nil {
			err = t.chat.o.Room(ctx, func() error { _, err := folder.AddMessage(m); return err })
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// over is the post on which a comment is, of which a file is over.
func (t *comments) over(group int64, message int) (post int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := comment{group, message}
	c := t.of[key]
	if c == nil {
		return 0, false
	}
	if c.files--; c.files == 0 {
		delete(t.of, key)
	}
	return c.post, true
}
