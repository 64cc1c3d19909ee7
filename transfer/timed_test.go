package transfer

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/tl"
)

// slowTelegram has sessions that answer twice after a second, and then refuse.
type slowTelegram struct {
	Telegram
	one *slowSession
}

func (s slowTelegram) FileSession(context.Context, int, telegram.Use, int) (Session, error) {
	return s.one, nil
}

func (slowTelegram) CDNSession(context.Context, int, int) (Session, error) {
	return nil, errors.New("no CDN")
}

type slowSession struct{ asked int }

func (s *slowSession) Invoke(context.Context, tl.Object) (Response, error) {
	time.Sleep(time.Second)
	if s.asked++; s.asked > 2 {
		return nil, errors.New("refused")
	}
	return nil, nil
}

func (s *slowSession) InvokeWith(ctx context.Context, q tl.Object, _ mtproto.Payload) (Response, error) {
	return s.Invoke(ctx, q)
}

func (s *slowSession) Reconnects() int { return 7 }

// Answers are timed and refusals are not; what sessions count gets through.
func TestTimed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var took []time.Duration
		tg := &timed{slowTelegram{one: new(slowSession)}, func(d time.Duration) { took = append(took, d) }}
		s, err := tg.FileSession(t.Context(), 2, telegram.Download, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Invoke(t.Context(), nil); err != nil {
			t.Error(err)
		}
		if _, err := s.InvokeWith(t.Context(), nil, mtproto.Payload{}); err != nil {
			t.Error(err)
		}
		if _, err := s.Invoke(t.Context(), nil); err == nil {
			t.Error("no refusal")
		}
		if again, err := tg.FileSession(t.Context(), 2, telegram.Download, 0); err != nil || again != s {
			t.Errorf("the same session is another one the second time (%v)", err)
		}
		if !slices.Equal(took, []time.Duration{time.Second, time.Second}) {
			t.Errorf("timed %v, want a second for each answer", took)
		}
		if c, ok := s.(interface{ Reconnects() int }); !ok || c.Reconnects() != 7 {
			t.Error("the session's reconnects are lost")
		}
		if s, err := tg.CDNSession(t.Context(), 203, 0); err == nil || s != nil {
			t.Errorf("a session that there is not: %v, %v", s, err)
		}
	})
}
