package telegram_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/tl/api"
)

// exporter is a signed-in client of a cluster with one small channel, and that.
func exporter(t *testing.T, c *dctest.Cluster, store telegram.SessionStore, change func(*telegram.Config)) (*telegram.Client, telegram.Peer) {
	t.Helper()
	client := dial(t, c, store, change)
	if !client.LoggedIn() {
		if _, err := client.LoginPhone(t.Context(), phone1, &person{codes: []string{"22222"}}); err != nil {
			t.Fatal(err)
		}
	}
	peer, err := client.Resolve(t.Context(), "@"+dctest.BigChannel)
	if err != nil {
		t.Fatal(err)
	}
	return client, peer
}

// export reads all messages of a chat and the beginning of each file, wherever it lies.
func export(ctx context.Context, client *telegram.Client, peer telegram.Peer) error {
	for m, err := range client.Messages(ctx, peer, telegram.MessagesOptions{}) {
		if err != nil {
			return err
		}
		for _, f := range m.Files {
			s, err := client.FileSession(ctx, f.DC, telegram.Download, 0)
			if err != nil {
				return err
			}
			if _, err := mtproto.Call(ctx, s, &api.UploadGetFileRequest{Location: f.Location(), Limit: 4096}); err != nil {
				return err
			}
		}
	}
	return nil
}

func exported(faults ...dctest.Fault) dctest.Config {
	cfg := user(nil)
	cfg.Faults = faults
	cfg.Channels = []dctest.ChannelConfig{{Username: dctest.BigChannel, Title: "Files", Files: []dctest.FileSpec{
		{Kind: "document", Count: 2, MinSize: 5000}, {Kind: "document", Count: 2, MinSize: 5000, DC: 4},
	}}}
	return cfg
}

// Everything that is read goes through the takeout session, at all DCs; what is
// not, and what comes after it, does not.
func TestTakeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cluster(t, exported())
		store := new(telegram.MemorySession)
		client, peer := exporter(t, c, store, nil)
		resumed, err := client.BeginTakeout(t.Context(), telegram.TakeoutOf([]telegram.Peer{peer}, 1<<30))
		if err != nil || resumed {
			t.Fatalf("begin: %v, resumed %v", err, resumed)
		}
		if err := export(t.Context(), client, peer); err != nil {
			t.Fatal(err)
		}
		files, err := client.RefreshFiles(t.Context(), peer, []int{1, 2})
		if err != nil || len(files) != 2 {
			t.Errorf("refresh: %d messages, %v", len(files), err)
		}
		if _, err := client.Self(t.Context()); err != nil {
			t.Error(err)
		}
		if err := client.FinishTakeout(t.Context(), true); err != nil {
			t.Errorf("finish: %v", err)
		}
		if err := export(t.Context(), client, peer); err != nil {
			t.Error(err)
		}
		if err := client.FinishTakeout(t.Context(), true); err != nil {
			t.Errorf("finish again: %v", err)
		}
		got := c.Stats().Takeouts
		for method, want := range map[string]int64{
			"upload.getFile": 4, "channels.getMessages": 1, "account.finishTakeoutSession": 1, "users.getUsers": 0, "auth.exportAuthorization": 0,
		} {
			if got.Calls[method] != want {
				t.Errorf("%d calls of %s within, want %d", got.Calls[method], method, want)
			}
		}
		if got.Calls["messages.getHistory"] == 0 || got.Begun != 1 || got.Finished != 1 || got.Succeeded != 1 || got.Refused != 0 {
			t.Errorf("counted %+v", got)
		}
		if s, err := store.Load(); err != nil || s.Takeout != nil {
			t.Errorf("kept %v, %v", s.Takeout, err)
		}
	})
}

// A client that was killed is followed by one that goes on with its takeout
// session, if that is good for what is wanted and still there.
func TestTakeoutResumed(t *testing.T) {
	channel := telegram.TakeoutScope{Channels: true, MaxFileSize: 1 << 30}
	for _, tt := range []struct {
		name     string
		lifetime time.Duration
		scope    telegram.TakeoutScope // of the second client
		login    bool                  // it signs in anew
		resumed  bool
		begun    int64
		finished int64 // of the first client's takeout session
	}{
		{name: "the same", scope: channel, resumed: true, begun: 1},
		{name: "less", scope: telegram.TakeoutScope{Channels: true, MaxFileSize: 1 << 20}, resumed: true, begun: 1},
		{name: "larger files", scope: telegram.TakeoutScope{Channels: true, MaxFileSize: 2 << 30}, begun: 2, finished: 1},
		{name: "other chats", scope: telegram.TakeoutScope{Channels: true, Users: true, MaxFileSize: 1 << 30}, begun: 2, finished: 1},
		{name: "expired", lifetime: time.Hour, scope: channel, begun: 2},
		{name: "another login", scope: channel, login: true, begun: 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := exported()
				cfg.TakeoutLifetime = dctest.Duration(tt.lifetime)
				c := cluster(t, cfg)
				store := new(telegram.MemorySession)
				first, _ := exporter(t, c, store, nil)
				if _, err := first.BeginTakeout(t.Context(), channel); err != nil {
					t.Fatal(err)
				}
				if tt.login {
					if err := first.LogOut(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				if err := first.Close(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * time.Hour)
				second, peer := exporter(t, c, store, nil)
				if err := export(t.Context(), second, peer); err != nil {
					t.Fatal(err)
				}
				if n := c.Stats().Takeouts.Calls["upload.getFile"]; n != 0 {
					t.Errorf("%d calls within a takeout session that nobody has asked for", n)
				}
				resumed, err := second.BeginTakeout(t.Context(), tt.scope)
				if err != nil || resumed != tt.resumed {
					t.Fatalf("resumed %v, %v; want %v", resumed, err, tt.resumed)
				}
				if err := export(t.Context(), second, peer); err != nil {
					t.Fatal(err)
				}
				got := c.Stats().Takeouts
				if got.Begun != tt.begun || got.Finished != tt.finished || got.Succeeded != 0 || got.Calls["upload.getFile"] != 4 {
					t.Errorf("counted %+v", got)
				}
			})
		})
	}
}

// Why a takeout session may not begin is said, with the time that is left; and
// everything is read without one.
func TestTakeoutRefused(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*dctest.Config)
		check  func(t *testing.T, err error)
		most   time.Duration // until the answer
	}{
		{
			name: "delay", change: func(cfg *dctest.Config) { cfg.Accounts[0].TakeoutDelay = dctest.Duration(24 * time.Hour) },
			check: func(t *testing.T, err error) {
				var delay *telegram.TakeoutDelayError
				if !errors.As(err, &delay) || delay.Wait != 24*time.Hour {
					t.Errorf("got %v, want a delay of a day", err)
				}
			}, most: time.Second,
		},
		{
			name: "flood", change: func(cfg *dctest.Config) {
				cfg.Faults = []dctest.Fault{{Kind: "flood_wait", Method: "account.initTakeoutSession", At: []int64{1}, Seconds: 100}}
			},
			check: func(t *testing.T, err error) {
				if !errors.Is(err, mtproto.ErrFloodWait) {
					t.Errorf("got %v, want the flood wait", err)
				}
			}, most: time.Second,
		},
		{
			name: "trouble without end", change: func(cfg *dctest.Config) {
				cfg.Faults = []dctest.Fault{{Kind: "error", Method: "account.initTakeoutSession", Rate: 1, Code: 500, Message: "RPC_CALL_FAIL"}}
			},
			check: func(t *testing.T, err error) {
				if err == nil || !strings.Contains(err.Error(), "30s") {
					t.Errorf("got %v, want no answer in 30s", err)
				}
			}, most: 31 * time.Second,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := exported()
				tt.change(&cfg)
				c := cluster(t, cfg)
				store := new(telegram.MemorySession)
				client, peer := exporter(t, c, store, nil)
				start := time.Now()
				_, err := client.BeginTakeout(t.Context(), telegram.TakeoutOf([]telegram.Peer{peer}, 1<<30))
				if tt.check(t, err); time.Since(start) > tt.most {
					t.Errorf("after %v", time.Since(start))
				}
				if err := export(t.Context(), client, peer); err != nil {
					t.Error(err)
				}
				if err := client.FinishTakeout(t.Context(), true); err != nil {
					t.Error(err)
				}
				if got := c.Stats().Takeouts; got.Begun != 0 || got.Refused != 0 || len(got.Calls) != 0 {
					t.Errorf("counted %+v", got)
				}
				if s, err := store.Load(); err != nil || s.Takeout != nil {
					t.Errorf("kept %v, %v", s.Takeout, err)
				}
			})
		})
	}
}

// Once the user has consented it begins at once.
func TestTakeoutAllowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := exported()
		cfg.Accounts[0].TakeoutDelay = dctest.Duration(24 * time.Hour)
		c := cluster(t, cfg)
		client, peer := exporter(t, c, new(telegram.MemorySession), nil)
		scope := telegram.TakeoutOf([]telegram.Peer{peer}, 1<<30)
		if _, err := client.BeginTakeout(t.Context(), scope); err == nil {
			t.Fatal("begun without consent")
		}
		if err := c.AllowTakeout(phone1); err != nil {
			t.Fatal(err)
		}
		if _, err := client.BeginTakeout(t.Context(), scope); err != nil {
			t.Errorf("with consent: %v", err)
		}
	})
}

func TestTakeoutBot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cluster(t, dctest.Config{})
		client := dial(t, c, new(telegram.MemorySession), nil)
		if _, err := client.BeginTakeout(t.Context(), telegram.TakeoutScope{Channels: true}); !errors.Is(err, telegram.ErrNotLoggedIn) {
			t.Errorf("nobody: %v", err)
		}
		if _, err := client.LoginBot(t.Context(), dctest.BotToken); err != nil {
			t.Fatal(err)
		}
		if _, err := client.BeginTakeout(t.Context(), telegram.TakeoutScope{Channels: true}); !errors.Is(err, telegram.ErrUserOnly) {
			t.Errorf("bot: %v", err)
		}
		if got := c.Stats(); requests(c, "account.initTakeoutSession") != 0 {
			t.Errorf("the server was asked: %+v", got.Takeouts)
		}
	})
}

// A takeout session that the server ends in the middle costs a word and a
// repeat of the call; finishing it then is no error.
func TestTakeoutLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cluster(t, exported(dctest.Fault{Kind: "takeout_ended", Method: "messages.getHistory", At: []int64{1}}))
		store := new(telegram.MemorySession)
		var told []error
		client, peer := exporter(t, c, store, func(cfg *telegram.Config) {
			cfg.OnTakeoutLost = func(err error) { told = append(told, err) }
		})
		if _, err := client.BeginTakeout(t.Context(), telegram.TakeoutOf([]telegram.Peer{peer}, 1<<30)); err != nil {
			t.Fatal(err)
		}
		if err := export(t.Context(), client, peer); err != nil {
			t.Error(err)
		}
		if len(told) != 1 || !strings.Contains(told[0].Error(), "TAKEOUT_INVALID") {
			t.Errorf("told %v, want that it is invalid, once", told)
		}
		if err := client.FinishTakeout(t.Context(), true); err != nil {
			t.Error(err)
		}
		got := c.Stats().Takeouts
		if got.Begun != 1 || got.Finished != 0 || got.Calls["upload.getFile"] != 0 {
			t.Errorf("counted %+v", got)
		}
		if s, err := store.Load(); err != nil || s.Takeout != nil {
			t.Errorf("kept %v, %v", s.Takeout, err)
		}
	})
}

// A server that wants a takeout session whatever is done about it is not asked for ever.
func TestTakeoutLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cluster(t, exported(dctest.Fault{Kind: "error", Method: "messages.getHistory", Rate: 1, Code: 403, Message: "TAKEOUT_REQUIRED"}))
		client, peer := exporter(t, c, new(telegram.MemorySession), nil)
		err := export(t.Context(), client, peer)
		var rpc *mtproto.RPCError
		if !errors.As(err, &rpc) || rpc.Type != "TAKEOUT_REQUIRED" {
			t.Errorf("got %v", err)
		}
		if n := requests(c, "messages.getHistory"); n != 3 {
			t.Errorf("%d calls, want one and two repeats", n)
		}
	})
}

// What cannot be finished is kept for the next time.
func TestTakeoutNotFinished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cluster(t, exported(dctest.Fault{Kind: "error", Method: "account.finishTakeoutSession", At: []int64{1}, Code: 400, Message: "SOMETHING_ELSE"}))
		store := new(telegram.MemorySession)
		client, peer := exporter(t, c, store, nil)
		scope := telegram.TakeoutOf([]telegram.Peer{peer}, 1<<30)
		if _, err := client.BeginTakeout(t.Context(), scope); err != nil {
			t.Fatal(err)
		}
		if err := client.FinishTakeout(t.Context(), true); err == nil {
			t.Error("finished against the server's word")
		}
		if resumed, err := client.BeginTakeout(t.Context(), scope); err != nil || !resumed {
			t.Errorf("resumed %v, %v", resumed, err)
		}
		if err := client.FinishTakeout(t.Context(), true); err != nil {
			t.Error(err)
		}
	})
}
