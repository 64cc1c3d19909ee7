package main

import (
	"context"
	"errors"
	"slices"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/transfer"
)

// errOutside says that nothing behind a link is meant.
var errOutside = errors.New("outside of the range, or of the topic, that the flags give")

// bounded leaves, of the messages behind a link, those that are within the bounds,
// whether they have files or not. Comments are if their post is, which is in the chat
// that was named, as those of --comments are. The error wraps errOutside if none is left.
func (l *fetchList) bounded(ctx context.Context, t target, messages []*telegram.Message) ([]*telegram.Message, error) {
	switch {
	case len(messages) == 0 || !l.s.Bounded():
		return messages, nil
	case t.link.Comment != 0:
		post, err := l.post(ctx, t)
		if err == nil && !l.s.Within(post) {
			err = errOutside
		}
		return messages, err
	}
	within := slices.DeleteFunc(messages, func(m *telegram.Message) bool { return !l.s.Within(m) })
	if len(within) == 0 {
		return nil, errOutside
	}
	return within, nil
}

// post is the post that a link to a comment names.
func (l *fetchList) post(ctx context.Context, t target) (*telegram.Message, error) {
	for m, err := range l.a.client.Messages(ctx, t.peer, telegram.MessagesOptions{IDs: []int{t.link.Message}}) {
		return m, err
	}
	return nil, transfer.ErrGone
}
