package telegram

import (
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/tl/api"
)

// TestSessionsShareTemporaryKeys: with PFS all sessions of a DC run on one
// temporary key, and those with its media-only endpoint on another; each is
// replaced in time, once for all.
func TestSessionsShareTemporaryKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReach(t, dctest.Config{})
		r.cfg.PFS, r.cfg.TempKeyLifetime = true, time.Hour
		c := r.dial()
		defer c.Close() //nolint:errcheck // the test is about what happens before
		if _, err := c.LoginBot(t.Context(), dctest.BotToken); err != nil {
			t.Fatal(err)
		}
		var sessions []*mtproto.Session
		for _, dc := range []int{1, 2, 4} { // 4 has a media-only endpoint
			for n := range 4 {
				s, err := c.FileSession(t.Context(), dc, Download, n)
				if err != nil {
					t.Fatal(err)
				}
				sessions = append(sessions, s)
			}
		}
		ask := func() {
			t.Helper()
			for _, s := range sessions {
				if _, err := mtproto.Call(t.Context(), s, &api.HelpGetConfigRequest{}); err != nil {
					t.Fatal(err)
				}
			}
		}
		bindings := func() (n []int64) {
			for _, dc := range []int{1, 2, 4} {
				n = append(n, r.cluster.Stats().DCs[strconv.Itoa(dc)].Bindings)
			}
			return n
		}
		ask()
		// At DC 4 the authorisation came by the ordinary endpoint, where nobody
		// is left that would replace that key.
		if got, want := bindings(), []int64{1, 1, 2}; !slices.Equal(got, want) {
			t.Errorf("%v temporary keys were bound at DCs 1, 2 and 4, want %v", got, want)
		}
		before := make([]int64, len(sessions))
		for i, s := range sessions {
			before[i] = s.Stats().Reconnects
		}
		time.Sleep(55 * time.Minute)
		ask()
		if got, want := bindings(), []int64{2, 2, 3}; !slices.Equal(got, want) {
			t.Errorf("%v temporary keys were bound after 55 of 60 minutes, want %v", got, want)
		}
		for i, s := range sessions {
			if n := s.Stats().Reconnects - before[i]; n != 1 {
				t.Errorf("session %d connected anew %d times, want once", i, n)
			}
		}
		time.Sleep(10 * time.Minute)
		ask()
	})
}

// TestTemporaryKeyLost: the server forgets the temporary keys of a DC, or a
// binding that nobody here knows of takes the place of ours. The next call is
// answered, and the login stands.
func TestTemporaryKeyLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReach(t, dctest.Config{})
		r.cfg.PFS = true
		c := r.dial()
		defer c.Close() //nolint:errcheck // the test is about what happens before
		if _, err := c.LoginBot(t.Context(), dctest.BotToken); err != nil {
			t.Fatal(err)
		}
		s, err := c.FileSession(t.Context(), 2, Download, 0)
		if err != nil {
			t.Fatal(err)
		}
		o := c.options(2, func() []mtproto.Endpoint { return c.dcs.ordinary(2) })
		o.PFS, o.TempKeys = true, nil // of its own
		other, err := mtproto.Connect(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close() //nolint:errcheck // of no interest
		for _, inv := range []mtproto.Invoker{s, c, other} {
			if _, err := mtproto.Call(t.Context(), inv, &api.UsersGetUsersRequest{ID: []api.InputUserClass{&api.InputUserSelf{}}}); err != nil {
				t.Error(err)
			}
		}
	})
}
