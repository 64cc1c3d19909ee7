package telegram

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/tl/api"
)

// TestScenarioMoves: a scenario moves a DC under a call, which is answered at
// the new address.
func TestScenarioMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReach(t, dctest.Config{Faults: []dctest.Fault{{Kind: "move", Method: "help.getNearestDc", DC: 2, At: []int64{1}}}})
		c := r.dial()
		defer c.Close() //nolint:errcheck // the test is about what happens before
		if _, err := c.LoginBot(t.Context(), dctest.BotToken); err != nil {
			t.Fatal(err)
		}
		// Who knows nobody at another DC has nobody to ask for the new address.
		if _, err := c.FileSession(t.Context(), 1, Download, 0); err != nil {
			t.Fatal(err)
		}
		old, err := r.cluster.Route(2)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		got, err := mtproto.Call(ctx, c, &api.HelpGetNearestDcRequest{})
		if err != nil || got.ThisDC != 2 {
			t.Errorf("got %+v, %v", got, err)
		}
		if now, err := r.cluster.Route(2); err != nil || now == old {
			t.Errorf("DC 2 is at %s, %v; it was there before", now, err)
		}
		if n := r.cluster.Stats().Faults["move"]; n != 1 {
			t.Errorf("it moved %d times, want once", n)
		}
	})
}

// TestScenarioRevokesGuests: a scenario ends the authorisation at a guest DC,
// and only there; it can be brought again.
func TestScenarioRevokesGuests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReach(t, dctest.Config{Faults: []dctest.Fault{{Kind: "guest_revoked", Method: "users.getUsers", At: []int64{1, 2}}}})
		c := r.dial()
		defer c.Close() //nolint:errcheck // the test is about what happens before
		if _, err := c.LoginBot(t.Context(), dctest.BotToken); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Self(t.Context()); err != nil { // at home
			t.Error(err)
		}
		s, err := c.FileSession(t.Context(), 1, Download, 0)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // sooner than that it would be an echo of the time before
		for i := range 2 {      // that it has struck, and that it lasts
			_, err = mtproto.Call(t.Context(), s, selfQuery())
			if _, is := isRPC(err, "AUTH_KEY_UNREGISTERED"); !is {
				t.Errorf("call %d: %v, want AUTH_KEY_UNREGISTERED", i, err)
			}
		}
		if err := c.ReauthorizeDC(t.Context(), 1, err); err != nil {
			t.Fatal(err)
		}
		if s, err = c.FileSession(t.Context(), 1, Download, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := mtproto.Call(t.Context(), s, selfQuery()); err != nil {
			t.Errorf("with another authorisation: %v", err)
		}
		if !c.LoggedIn() {
			t.Error("the login at home is gone")
		}
	})
}
