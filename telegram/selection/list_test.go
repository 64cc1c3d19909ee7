package selection

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tghaul/haul/telegram"
)

// A fakeChat lists what it has, newest first, and records what was asked.
type fakeChat struct {
	messages []telegram.Message
	comments map[int][]telegram.Message
	asked    []telegram.MessagesOptions
	taken    int // messages that were handed on
	err      error
}

func (c *fakeChat) Messages(_ context.Context, p telegram.Peer, o telegram.MessagesOptions) iter.Seq2[*telegram.Message, error] {
	c.asked = append(c.asked, o)
	list := c.messages
	if o.Thread != 0 {
		list = c.comments[o.Thread]
	}
	list = slices.Clone(list)
	if o.Reverse {
		slices.Reverse(list)
	}
	return func(yield func(*telegram.Message, error) bool) {
		for _, m := range list {
			m.Files = slices.Clone(m.Files)
			c.taken++
			if !yield(&m, nil) {
				return
			}
		}
		if c.err != nil {
			yield(nil, c.err)
		}
	}
}

// chat reads "12 photo 5, 11 video 7 album=1": message, kind and size of its
// files. A kind with a ! is protected.
func chat(text string) (list []telegram.Message) {
	for line := range strings.SplitSeq(text, ",") {
		words := strings.Fields(line)
		var m telegram.Message
		_, _ = fmt.Sscan(words[0], &m.ID)
		m.Date = time.Unix(int64(m.ID), 0)
		for i := 1; i < len(words); i++ {
			if group, ok := strings.CutPrefix(words[i], "album="); ok {
				_, _ = fmt.Sscan(group, &m.GroupedID)
				continue
			}
			if n, ok := strings.CutPrefix(words[i], "comments="); ok {
				_, _ = fmt.Sscan(n, &m.Comments)
				m.CommentsIn = 77
				continue
			}
			f := telegram.File{ID: int64(m.ID), Name: fmt.Sprintf("%d.bin", m.ID)}
			kind, protected := strings.CutSuffix(words[i], "!")
			f.Kind, f.NoForwards = telegram.FileKind(kind), protected
			i++
			_, _ = fmt.Sscan(words[i], &f.Size)
			m.Files = append(m.Files, f)
		}
		list = append(list, m)
	}
	return list
}

// listed is what a pass yields, as "12:1 11:0": messages, and their files.
func listed(t *testing.T, seq iter.Seq2[*telegram.Message, error]) string {
	t.Helper()
	var out []string
	for m, err := range seq {
		if err != nil {
			return strings.Join(append(out, err.Error()), " ")
		}
		out = append(out, fmt.Sprintf("%d:%d", m.ID, len(m.Files)))
	}
	return strings.Join(out, " ")
}

const someChat = "12 photo 5, 11, 10 video 70 album=1, 9 photo 6 album=1, 8 document 1 album=2, 7 photo 9 photo! 9, 6 voice 3 comments=2, 5 photo! 4"

func TestPass(t *testing.T) {
	filter, err := ParseFilter(`size % 2 == 1`, now)
	if err != nil {
		t.Fatal(err)
	}
	photos := []telegram.FileKind{telegram.KindPhoto}
	tests := []struct {
		name      string
		s         Selection
		want      string
		protected int
	}{
		{"all", Selection{}, "12:1 11:0 10:1 9:1 8:1 7:1 6:1 5:0", 2},
		{"photos", Selection{Kinds: photos}, "12:1 11:0 10:0 9:1 8:0 7:1 6:0 5:0", 2},
		{"sizes", Selection{MinSize: 4, MaxSize: 6}, "12:1 11:0 10:0 9:1 8:0 7:0 6:0 5:0", 1},
		{"names", Selection{Include: Globs{"1*"}, Exclude: Globs{"12*"}}, "12:0 11:0 10:1 9:0 8:0 7:0 6:0 5:0", 0},
		{"filter", Selection{Filter: filter}, "12:1 11:0 10:0 9:0 8:1 7:1 6:1 5:0", 1},
		{"limit", Selection{Limit: 2}, "12:1 11:0 10:1", 0},
		{"limit and reverse", Selection{Limit: 2, Reverse: true}, "5:0 6:1 7:1", 1},
		{"albums", Selection{Kinds: []telegram.FileKind{telegram.KindVideo}, Album: true}, "12:0 11:0 10:1 9:1 8:0 7:0 6:0 5:0", 0},
		{"album of one", Selection{Kinds: photos, Album: true}, "12:1 11:0 10:1 9:1 8:0 7:1 6:0 5:0", 2},
		{"comments", Selection{Kinds: photos, Comments: true}, "12:1 11:0 10:0 9:1 8:0 7:1 6:0 3:1 2:0 5:0", 2},
		{"comments and limit", Selection{Comments: true, Limit: 7}, "12:1 11:0 10:1 9:1 8:1 7:1 6:1 3:1", 1},
		{"comments, oldest first", Selection{Comments: true, Reverse: true}, "5:0 6:1 2:1 3:1 7:1 8:1 9:1 10:1 11:0 12:1", 2},
	}
	for _, tt := range tests {
		c := &fakeChat{messages: chat(someChat), comments: map[int][]telegram.Message{6: chat("3 photo 1, 2 document 2")}}
		p := NewPass(&tt.s, c)
		if got := listed(t, p.Chat(t.Context(), telegram.Peer{ID: 1})); got != tt.want || p.Protected != tt.protected {
			t.Errorf("%s: got %s and %d protected, want %s and %d", tt.name, got, p.Protected, tt.want, tt.protected)
		}
		files := 0
		for _, word := range strings.Fields(tt.want) {
			if strings.HasSuffix(word, ":1") {
				files++
			}
		}
		if p.Files != files {
			t.Errorf("%s: %d files counted, want %d", tt.name, p.Files, files)
		}
	}
}

// The limit is that of all chats, and nothing is asked for beyond it.
func TestPassOverChats(t *testing.T) {
	c := &fakeChat{messages: chat(someChat)}
	p := NewPass(&Selection{Limit: 7}, c)
	if got, want := listed(t, p.Chat(t.Context(), telegram.Peer{ID: 1})), "12:1 11:0 10:1 9:1 8:1 7:1 6:1 5:0"; got != want || p.Full() {
		t.Errorf("first: %s, full %v", got, p.Full())
	}
	if got, want := listed(t, p.Chat(t.Context(), telegram.Peer{ID: 2})), "12:1"; got != want || !p.Full() {
		t.Errorf("second: %s, full %v", got, p.Full())
	}
	if c.taken != 9 {
		t.Errorf("%d messages were taken, want 9", c.taken)
	}
	c.err = errors.New("no more")
	if got := listed(t, NewPass(&Selection{Album: true}, c).Chat(t.Context(), telegram.Peer{ID: 1})); !strings.HasSuffix(got, "6:1 5:0 no more") {
		t.Errorf("an error: %s", got)
	}
}

// Comments that cannot be read stop nothing; any other error does.
func TestUnreadComments(t *testing.T) {
	c := &fakeChat{messages: chat("9 photo 1 comments=3, 8 photo 1")}
	closed := &closedComments{c, fmt.Errorf("thread: %w", telegram.ErrNoThread)}
	p := NewPass(&Selection{Comments: true}, closed)
	if got := listed(t, p.Chat(t.Context(), telegram.Peer{ID: 1})); got != "9:1 8:1" || len(p.Unread) != 1 || p.Unread[0].MessageID != 9 {
		t.Errorf("got %s, unread %v", got, p.Unread)
	}
	closed.err = errors.New("no network")
	p = NewPass(&Selection{Comments: true}, closed)
	if got := listed(t, p.Chat(t.Context(), telegram.Peer{ID: 1})); got != "9:1 no network" || len(p.Unread) != 0 {
		t.Errorf("got %s, unread %v", got, p.Unread)
	}
}

// closedComments is a chat of which the comments cannot be read.
type closedComments struct {
	*fakeChat
	err error
}

func (c *closedComments) Messages(ctx context.Context, p telegram.Peer, o telegram.MessagesOptions) iter.Seq2[*telegram.Message, error] {
	if o.Thread == 0 {
		return c.fakeChat.Messages(ctx, p, o)
	}
	return func(yield func(*telegram.Message, error) bool) { yield(nil, c.err) }
}

// Of given messages those outside of the bounds have no files.
func TestPassOfIDs(t *testing.T) {
	for name, tt := range map[string]struct {
		s    Selection
		want string
	}{
		"ids":   {Selection{From: Bound{ID: 8}, To: Bound{ID: 10}}, "12:0 11:0 10:1 9:1 8:1 7:0 6:0 5:0"},
		"dates": {Selection{From: Bound{Time: time.Unix(9, 0)}, To: Bound{Time: time.Unix(12, 0)}}, "12:0 11:0 10:1 9:1 8:0 7:0 6:0 5:0"},
		"topic": {Selection{Topic: 3}, "12:0 11:0 10:0 9:0 8:0 7:0 6:0 5:0"},
		"general topic, no comments outside": {
			Selection{Topic: 1, To: Bound{ID: 5}, Comments: true}, "12:0 11:0 10:0 9:0 8:0 7:0 6:0 5:0",
		},
	} {
		c := &fakeChat{messages: chat(someChat)}
		p := NewPass(&tt.s, c)
		if got := listed(t, p.IDs(t.Context(), telegram.Peer{ID: 1}, []int{12, 11, 10, 9, 8, 7, 6, 5})); got != tt.want || len(c.asked) != 1 {
			t.Errorf("%s: got %s by %d questions, want %s", name, got, len(c.asked), tt.want)
		}
	}
}

// What the server is asked: bounds always, kinds only if nothing else is needed.
func TestPassAsks(t *testing.T) {
	first, last := time.Unix(5, 0), time.Unix(9, 0)
	voice := []telegram.FileKind{telegram.KindVoice}
	s := Selection{From: Bound{ID: 3}, To: Bound{Time: last}, Kinds: voice, FilesOnly: true, Topic: 4, Reverse: true, Lossy: true}
	ask := func(s Selection) telegram.MessagesOptions {
		c := new(fakeChat)
		listed(t, NewPass(&s, c).Chat(t.Context(), telegram.Peer{}))
		return c.asked[0]
	}
	if o := ask(s); o.MinID != 3 || o.MaxID != 0 || !o.From.IsZero() || o.Until != last || o.Thread != 4 || !o.Reverse || len(o.Kinds) != 1 || !o.Lossy {
		t.Errorf("asked %+v", o)
	}
	if o := ask(Selection{From: Bound{Time: first}, To: Bound{ID: 8}}); o.From != first || o.MaxID != 8 {
		t.Errorf("asked %+v", o)
	}
	for name, s := range map[string]Selection{
		"messages":      {Kinds: voice},
		"whole albums":  {Kinds: voice, FilesOnly: true, Album: true},
		"with comments": {Kinds: voice, FilesOnly: true, Comments: true},
	} {
		if o := ask(s); o.Kinds != nil {
			t.Errorf("%s: only %v are asked for", name, o.Kinds)
		}
	}
}

func TestCheck(t *testing.T) {
	day := func(d int) Bound { return Bound{Time: time.Unix(int64(d)*86400, 0)} }
	for name, tt := range map[string]struct {
		s    Selection
		want string
	}{
		"nothing":      {Selection{}, ""},
		"right":        {Selection{From: day(1), To: day(2), MinSize: 5, MaxSize: 5}, ""},
		"id and date":  {Selection{From: Bound{ID: 9}, To: day(2)}, ""},
		"limit":        {Selection{Limit: -1}, "limit of -1"},
		"sizes":        {Selection{MinSize: 6, MaxSize: 5}, "6 bytes"},
		"ids":          {Selection{From: Bound{ID: 9}, To: Bound{ID: 8}}, "message 9"},
		"dates":        {Selection{From: day(2), To: day(2)}, "comes after"},
		"a topic, too": {Selection{Topic: 5, Comments: true}, "topics"},
	} {
		err := tt.s.Check()
		if got := fmt.Sprint(err); (err == nil) != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
	}
}
