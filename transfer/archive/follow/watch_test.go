package follow_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/telegram/selection"
	"github.com/tghaul/haul/transfer"
	"github.com/tghaul/haul/transfer/archive/follow"
)

// A watched run is one that goes on in the background of a synctest bubble.
type watched struct {
	*rig
	cancel context.CancelFunc
	done   chan error

	mu     sync.Mutex
	events []transfer.Event
}

// watch starts a run that watches, in virtual time, and waits until it does.
func (r *rig) watch(peers ...telegram.Peer) *watched {
	r.t.Helper()
	return r.watchOf(job{peers: peers})
}

// watchOf is watch for a run of a certain kind.
func (r *rig) watchOf(j job) *watched {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.t.Context())
	w := &watched{rig: r, cancel: cancel, done: make(chan error, 1)}
	watching := make(chan struct{})
	var once sync.Once
	go func() {
		j.watch, j.on = true, func(e transfer.Event) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if _, ok := e.(transfer.Progress); !ok {
				w.events = append(w.events, e)
			}
			if _, ok := e.(follow.Watching); ok {
				once.Do(func() { close(watching) })
			}
		}
		_, err := r.run(ctx, j)
		w.done <- err
	}()
	select {
	case <-watching:
	case err := <-w.done:
		r.t.Fatal("it ended before it watched: ", err)
	}
	return w
}

// after lets some time pass.
func (w *watched) after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// end interrupts the run, which is no trouble.
func (w *watched) end() {
	w.t.Helper()
	w.cancel()
	if err := <-w.done; !errors.Is(err, context.Canceled) {
		w.t.Errorf("it ended with %v", err)
	}
}

// told are the events of a type.
func told[E transfer.Event](w *watched) (list []E) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if e, ok := e.(E); ok {
			list = append(list, e)
		}
	}
	return list
}

// inBubble runs a test in virtual time, and closes what newRig has opened
// before that ends.
func inBubble(t *testing.T, cfg dctest.Config, f func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(newRig(t, cfg)) })
}

// What happens in a channel is archived as soon as an update tells of it, or
// else when the server wants to be asked.
func TestWatch(t *testing.T) {
	for _, told := range []bool{true, false} {
		t.Run(fmt.Sprint("updates=", told), func(t *testing.T) {
			inBubble(t, channel(10, 0), func(r *rig) {
				soon := 35 * time.Second
				if told {
					r.touched, soon = new(follow.Touched), 1500*time.Millisecond
				}
				w := r.watch()
				w.after(time.Minute)
				r.post(document("first"))
				w.after(soon)
				if len(r.entries(r.folder())[11]) != 1 {
					t.Errorf("%v after a post there is no file of it", soon)
				}
				r.ok(r.cluster.Edit(dctest.BigChannel, 11, document("another")))
				r.ok(r.cluster.Edit(dctest.BigChannel, 4, dctest.Post{Text: "words"}))
				r.ok(r.cluster.Delete(dctest.BigChannel, 7))
				w.after(soon)
				lines := r.lines(r.folder())
				wantLines(t, lines, map[int][]string{4: {lines[4][0], "words*"}, 7: {lines[7][0], "gone"}, 11: {"first", "another*"}})
				if n := len(r.entries(r.folder())[11]); n != 2 {
					t.Errorf("%d files of the edited message, want 2", n)
				}
				w.end()
				calls := r.calls("upload.getFile")
				r.must(job{})
				if n := r.calls("upload.getFile") - calls; n != 0 {
					t.Errorf("%d parts are fetched once more after the watch", n)
				}
			})
			if t.Failed() {
				return
			}
		})
	}
}

// What is told of a watch, and how often is asked when nothing happens.
func TestWatchEvents(t *testing.T) {
	inBubble(t, channel(3, 0), func(r *rig) {
		r.touched = new(follow.Touched)
		w := r.watch()
		if e := told[follow.Watching](w); len(e) != 1 || len(e[0].Chats) != 1 || e[0].Chats[0].By != follow.ByDifference || e[0].Chats[0].Name != "@bigchannel" {
			t.Errorf("watching %+v", e)
		}
		before := r.calls("updates.getChannelDifference")
		w.after(10 * time.Minute)
		if n := r.calls("updates.getChannelDifference") - before; n < 15 || n > 25 {
			t.Errorf("%d questions in ten minutes of silence, want about 20", n)
		}
		r.post(document("a"), dctest.Post{Text: "b"})
		r.ok(r.cluster.Delete(dctest.BigChannel, 1))
		w.after(5 * time.Second)
		var sum follow.ChatChanged
		for _, e := range told[follow.ChatChanged](w) {
			sum.New, sum.Edited, sum.Deleted = sum.New+e.New, sum.Edited+e.Edited, sum.Deleted+e.Deleted
		}
		if sum.New != 2 || sum.Edited != 0 || sum.Deleted != 1 {
			t.Errorf("changes %+v", sum)
		}
		w.end()
	})
}

// Where there are no differences, the history is asked for what is newer.
func TestPolling(t *testing.T) {
	inBubble(t, channel(3, 0), func(r *rig) {
		r.source.answer(func(int) (telegram.Difference, error) {
			return telegram.Difference{}, &mtproto.RPCError{Code: 400, Type: "BOT_METHOD_INVALID"}
		})
		me, err := r.client.Resolve(r.t.Context(), "me")
		r.ok(err)
		w := r.watch(r.peer, me)
		w.after(time.Minute)
		r.post(document("new"), dctest.Post{Text: "words"})
		w.after(61 * time.Second)
		if files, lines := r.entries(r.folder()), r.lines(r.folder()); len(files[4]) != 1 || len(lines[5]) != 1 {
			t.Errorf("after a minute: files %v, lines %v", files[4], lines[5])
		}
		before := r.calls("messages.getHistory")
		w.after(10 * time.Minute)
		if n := r.calls("messages.getHistory") - before; n < 18 || n > 22 {
			t.Errorf("%d looks at two chats in ten minutes, want 20", n)
		}
		w.end()
	})
}

// Trouble is told, and ends by itself; a chat that is closed ends alone.
func TestWatchTrouble(t *testing.T) {
	inBubble(t, channel(3, 0), func(r *rig) {
		me, err := r.client.Resolve(r.t.Context(), "me")
		r.ok(err)
		w := r.watch(r.peer, me)
		w.after(time.Minute)
		r.source.answer(func(int) (telegram.Difference, error) {
			return telegram.Difference{}, &mtproto.RPCError{Code: 500, Type: "PERSISTENT_TIMESTAMP_OUTDATED"}
		})
		r.post(document("new"))
		w.after(5 * time.Minute)
		trouble := told[follow.WatchTrouble](w)
		if len(trouble) < 6 || len(trouble) > 12 || trouble[0].Seconds != 1 || trouble[len(trouble)-1].Seconds != 60 {
			t.Errorf("%d times trouble: %+v", len(trouble), trouble)
		}
		r.source.answer(nil)
		w.after(time.Minute)
		if len(told[follow.WatchRecovered](w)) != 1 || len(r.entries(r.folder())[4]) != 1 {
			t.Errorf("after the trouble: %+v, files %v", told[follow.WatchRecovered](w), r.entries(r.folder())[4])
		}
		r.source.answer(func(int) (telegram.Difference, error) {
			return telegram.Difference{}, fmt.Errorf("%w: closed", telegram.ErrPeerNotFound)
		})
		w.after(time.Minute)
		if len(told[follow.WatchLost](w)) != 1 {
			t.Errorf("lost are %+v", told[follow.WatchLost](w))
		}
		w.end()
	})
}

// More may happen than Telegram tells: what is new is listed.
func TestWatchGap(t *testing.T) {
	inBubble(t, channel(3, 0), func(r *rig) {
		w := r.watch()
		w.after(time.Minute)
		r.source.answer(func(int) (telegram.Difference, error) {
			r.source.answer(nil)
			pts, err := r.client.ChannelState(r.t.Context(), r.peer)
			return telegram.Difference{Pts: pts, TooLong: true, Final: true, Timeout: time.Second}, err
		})
		r.post(document("a"), dctest.Post{Text: "b"})
		w.after(time.Minute)
		r.post(document("c"))
		w.after(time.Minute)
		if len(told[follow.HistoryGap](w)) != 1 {
			t.Errorf("gaps %+v", told[follow.HistoryGap](w))
		}
		w.end()
		r.whole()
		before := r.calls("channels.getMessages")
		r.must(job{})
		if n := r.calls("channels.getMessages") - before; n != 0 {
			t.Errorf("the next run asks %d times for what is done", n)
		}
	})
}

// A Telegram that does not answer is told of.
func TestWatchSilence(t *testing.T) {
	inBubble(t, channel(3, 0), func(r *rig) {
		w := r.watch()
		silent := make(chan struct{})
		r.source.answer(func(int) (telegram.Difference, error) {
			<-silent
			return telegram.Difference{}, context.DeadlineExceeded
		})
		time.AfterFunc(125*time.Second, func() { // longer than it waits
			r.source.answer(nil)
			close(silent)
		})
		w.after(2 * time.Minute)
		w.after(2 * time.Minute)
		if trouble := told[follow.WatchTrouble](w); len(trouble) == 0 || trouble[0].Error != "no answer within 1m30s" {
			t.Errorf("trouble %+v", trouble)
		}
		if len(told[follow.WatchRecovered](w)) != 1 {
			t.Error("it did not recover")
		}
		w.end()
	})
}

// When nothing is left to watch the run says so.
func TestNothingToWatch(t *testing.T) {
	inBubble(t, channel(3, 0), func(r *rig) {
		w := r.watch()
		r.source.answer(func(int) (telegram.Difference, error) {
			return telegram.Difference{}, fmt.Errorf("%w: closed", telegram.ErrPeerNotFound)
		})
		if err := <-w.done; !errors.Is(err, telegram.ErrPeerNotFound) {
			t.Errorf("it ended with %v", err)
		}
	})
}

// A file that has failed is tried again while the chat is watched.
func TestWatchTriesAgain(t *testing.T) {
	cfg := channel(3, 0)
	cfg.Faults = []dctest.Fault{{Kind: "error", Code: 400, Message: "FILE_ID_INVALID", At: []int64{2, 4}}}
	inBubble(t, cfg, func(r *rig) {
		w := r.watch()
		w.after(time.Minute)
		if n := len(r.entries(r.folder())); n != 2 {
			t.Fatalf("%d files, want one to fail", n)
		}
		w.after(11 * time.Minute) // in vain
		w.after(20 * time.Minute)
		if n := len(r.entries(r.folder())); n != 3 {
			t.Errorf("%d files, want 3", n)
		}
		w.end()
		r.whole()
	})
}

// A watch goes on for hours, through cut connections, and misses nothing.
func TestWatchHours(t *testing.T) {
	cfg := channel(5, 5)
	cfg.Faults = []dctest.Fault{{Kind: "reset", Method: "updates.getChannelDifference", Rate: 0.2}}
	inBubble(t, cfg, func(r *rig) {
		r.touched = new(follow.Touched)
		w := r.watch()
		for n := range 9 {
			w.after(20 * time.Minute)
			r.post(document(fmt.Sprint("post ", n)), dctest.Post{Text: "words"})
		}
		w.after(5 * time.Minute)
		w.end()
		r.whole()
		if r.cluster.LastMessage(dctest.BigChannel) != 28 {
			t.Error("not all was posted")
		}
	})
}

// An interrupted watch is gone on with: what came in between is found.
func TestWatchAgain(t *testing.T) {
	inBubble(t, channel(5, 0), func(r *rig) {
		for range 3 {
			w := r.watch()
			w.after(time.Minute)
			r.post(document("while it watches"))
			w.after(2 * time.Second) // perhaps before it is found
			w.end()
			r.post(document("while it does not"))
		}
		w := r.watch()
		w.after(time.Second)
		w.end()
		r.whole()
	})
}

// A file that has failed and whose message is deleted is not tried again.
func TestWatchFailedAndDeleted(t *testing.T) {
	cfg := channel(3, 0)
	cfg.Faults = []dctest.Fault{{Kind: "error", Code: 400, Message: "FILE_ID_INVALID", At: []int64{2}}}
	inBubble(t, cfg, func(r *rig) {
		w := r.watch()
		w.after(time.Second)
		for id := 1; id <= 3; id++ {
			if len(r.entries(r.folder())[id]) == 0 {
				r.ok(r.cluster.Delete(dctest.BigChannel, id))
			}
		}
		w.after(time.Minute)
		before := r.calls("channels.getMessages")
		w.after(time.Hour)
		if n := r.calls("channels.getMessages") - before; n != 0 {
			t.Errorf("it was asked for %d times", n)
		}
		w.end()
	})
}

// An item of an album that has failed is judged with the others when it is
// tried again, since it is meant for one of them.
func TestWatchTriesAlbumAgain(t *testing.T) {
	cfg := channel(6, 0)
	cfg.Faults = []dctest.Fault{{Kind: "error", Code: 400, Message: "FILE_ID_INVALID", At: []int64{2, 3}}}
	inBubble(t, cfg, func(r *rig) {
		r.source.change = func(m *telegram.Message) {
			if m.ID >= 3 && m.ID <= 5 {
				m.GroupedID = 7
			}
		}
		filter, err := selection.ParseFilter("id == 4", time.Now())
		r.ok(err)
		w := r.watchOf(job{s: selection.Selection{Album: true, Filter: filter}})
		w.after(time.Minute)
		if n := len(r.entries(r.folder())); n != 1 {
			t.Errorf("%d files, want two of three to fail", n)
		}
		w.after(11 * time.Minute)
		files := r.entries(r.folder())
		for id := 1; id <= 6; id++ {
			if album := id >= 3 && id <= 5; album != (len(files[id]) == 1) {
				t.Errorf("message %d has the files %+v", id, files[id])
			}
		}
		w.end()
	})
}
