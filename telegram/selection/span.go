package selection

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/tghaul/haul/telegram"
)

// Key is equal for selections that mean the same files of whatever messages
// they are shown. Bounds by id, the limit and the direction are left out: they
// say which messages are shown. It is "" if all files of all messages are meant.
func (s *Selection) Key() string {
	var words []string
	add := func(name string, set bool, value any) {
		if set {
			words = append(words, fmt.Sprintf("%s=%v", name, value))
		}
	}
	kinds := make([]string, 0, len(s.Kinds))
	for _, k := range s.Kinds {
		kinds = append(kinds, string(k))
	}
	slices.Sort(kinds)
	add("from", !s.From.Time.IsZero(), s.From.Time.UTC().Format(time.RFC3339))
	add("to", !s.To.Time.IsZero(), s.To.Time.UTC().Format(time.RFC3339))
	add("type", len(kinds) > 0, strings.Join(kinds, ","))
	add("include", len(s.Include) > 0, strings.Join(s.Include, ","))
	add("exclude", len(s.Exclude) > 0, strings.Join(s.Exclude, ","))
	add("min-size", s.MinSize > 0, s.MinSize)
	add("max-size", s.MaxSize > 0, s.MaxSize)
	add("topic", s.Topic != 0, s.Topic)
	add("album", s.Album, true)
	add("comments", s.Comments, true)
	if s.Filter != nil {
		add("filter", true, s.Filter.text)
		add("since", s.Filter.moments != "", s.Filter.moments)
	}
	return strings.Join(words, " ")
}

// Within says whether a message is in the range and the topic that are meant.
func (s *Selection) Within(m *telegram.Message) bool { return s.within(m) }

// Bounded reports whether some messages are not Within.
func (s *Selection) Bounded() bool {
	return s.Topic != 0 || s.From.ID > 0 || s.To.ID > 0 || !s.From.Time.IsZero() || !s.To.Time.IsZero()
}

// Span is Chat for the messages with ids from one to another only, both
// included, as far as they are within the bounds.
func (p *Pass) Span(ctx context.Context, peer telegram.Peer, from, to int) iter.Seq2[*telegram.Message, error] {
	o := p.s.options()
	o.MinID = max(o.MinID, from)
	if o.MaxID == 0 || to < o.MaxID {
		o.MaxID = to
	}
	return p.List(ctx, p.source.Messages(ctx, peer, o))
}

// Given is Chat for messages of a chat that the caller has. Those that are not
// within the bounds come without files.
func (p *Pass) Given(ctx context.Context, messages []*telegram.Message) iter.Seq2[*telegram.Message, error] {
	return p.List(ctx, func(yield func(*telegram.Message, error) bool) {
		for _, m := range messages {
			if !p.s.within(m) {
				m.Files, m.Comments = nil, 0
			}
			if !yield(m, nil) {
				return
			}
		}
	})
}
