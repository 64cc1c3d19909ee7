package telegram

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

type shower struct{ shown []LoginToken }

func (s *shower) ShowToken(_ context.Context, t LoginToken) error {
	s.shown = append(s.shown, t)
	return nil
}

func (*shower) Password(context.Context, PasswordRequest) (string, error) { return "", nil }

// When the update is lost, asking finds out that the code was scanned; it is
// shown once. A server with an odd clock is not asked more often than each
// second.
func TestQRPolling(t *testing.T) {
	for _, c := range []struct {
		name  string
		life  int32 // seconds from now that the server says
		calls int   // until it says that somebody has scanned it
		took  time.Duration
	}{
		{"polled", 600, 3, 2 * qrPoll},
		{"expired from the start", -1000, 4, 3 * minQRLife},
		{"refreshed when it expires", 4, 2, 4 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				f := &fakeTelegram{answer: func(call fakeCall) (tl.Object, error) {
					if call.q.TypeName() != "auth.exportLoginToken" {
						return nil, nil
					}
					if calls++; calls == c.calls {
						return &api.AuthLoginTokenSuccess{Authorization: &api.AuthAuthorization{User: fakeUser(false)}}, nil
					}
					return &api.AuthLoginToken{Expires: int32(time.Now().Unix()) + c.life, Token: []byte("token")}, nil
				}}
				client := fakeClient(t, f, anonymous)
				start := time.Now()
				s := new(shower)
				if _, err := client.LoginQR(t.Context(), s); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took != c.took || len(s.shown) != 1 || calls != c.calls {
					t.Errorf("took %v, %d calls, shown %d times; want %v, %d, once", took, calls, len(s.shown), c.took, c.calls)
				}
			})
		})
	}
}
