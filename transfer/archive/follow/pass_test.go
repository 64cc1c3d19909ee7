package follow_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/telegram/selection"
	"github.com/tghaul/haul/transfer"
	"github.com/tghaul/haul/transfer/archive"
	"github.com/tghaul/haul/transfer/archive/follow"
)

// A second run asks for what is new and for nothing else.
func TestSecondRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, channel(120, 400))
		r.must(job{})
		r.whole()
		again := func(j job, history, difference, files int64) {
			t.Helper()
			before := []int64{r.calls("messages.getHistory"), r.calls("updates.getChannelDifference"), r.calls("upload.getFile"), r.calls("channels.getMessages")}
			r.must(j)
			after := []int64{r.calls("messages.getHistory"), r.calls("updates.getChannelDifference"), r.calls("upload.getFile"), r.calls("channels.getMessages")}
			for i, want := range []int64{history, difference, files, 0} {
				if got := after[i] - before[i]; got != want {
					t.Errorf("call %d was made %d times, want %d", i, got, want)
				}
			}
		}
		again(job{}, 1, 1, 0)
		r.post(document("new"), dctest.Post{Text: "words"}, document("newer"))
		again(job{}, 1, 1, 2)
		again(job{o: follow.Options{SinceLast: true}}, 1, 1, 0)
		again(job{s: selection.Selection{Reverse: true}}, 1, 1, 0)
		again(job{o: follow.Options{Full: true}}, 6, 1, 0)
		r.whole()
	})
}

// Wherever runs end, what they leave out is done by a later one: no message and
// no file is passed over for good.
func TestInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		rnd := rand.New(rand.NewPCG(seed, 1))
		for round := range 6 {
			cfg := channel(60, 150)
			cfg.Faults = []dctest.Fault{{Kind: "error", Code: 400, Message: "FILE_ID_INVALID", At: []int64{3, 17, 18, int64(20 + rnd.IntN(20))}}}
			r := newRig(t, cfg)
			reverse := round%2 == 1
			for runs := 0; ; runs++ {
				if runs > 40 {
					t.Fatal("it does not come to an end")
				}
				ctx, cancel := context.WithCancel(t.Context())
				left := 5 + rnd.IntN(25)
				report, err := r.run(ctx, job{s: selection.Selection{Reverse: reverse}, on: func(e transfer.Event) {
					if _, over := e.(transfer.FileDone); over {
						if left--; left == 0 {
							cancel()
						}
					}
				}})
				cancel()
				if err == nil && report.FilesFailed == 0 {
					break
				}
				if err != nil && !errors.Is(err, context.Canceled) {
					t.Fatal(err)
				}
				if rnd.IntN(2) == 0 {
					r.post(document(fmt.Sprint("news ", runs)))
				}
			}
			r.whole()
			if t.Failed() {
				t.Fatalf("in round %d", round)
			}
		}
	})
}

// What was edited or deleted between two runs is noted, and a file that took
// the place of another is fetched, whether a difference tells of it or a walk
// finds it.
func TestChangesBetweenRuns(t *testing.T) {
	for _, by := range []string{"difference", "walk"} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, channel(10, 0))
			r.must(job{})
			former := r.entries(r.folder())
			r.ok(r.cluster.Edit(dctest.BigChannel, 2, dctest.Post{Text: "other words"}))
			r.ok(r.cluster.Edit(dctest.BigChannel, 3, document("another file")))
			r.ok(r.cluster.Delete(dctest.BigChannel, 5, 10))
			last := r.post(document("new"), document("gone at once"))
			r.ok(r.cluster.Delete(dctest.BigChannel, last))
			if by == "walk" {
				r.source.answer(func(int) (telegram.Difference, error) {
					return telegram.Difference{}, &mtproto.RPCError{Code: 400, Type: "BOT_METHOD_INVALID"}
				})
			}
			for range 2 {
				r.must(job{o: follow.Options{Full: by == "walk"}})
			}
			lines, files := r.lines(r.folder()), r.entries(r.folder())
			wantLines(t, lines, map[int][]string{
				1: lines[1], 2: {lines[2][0], "other words*"}, 3: {lines[3][0], "another file*"},
				5: {lines[5][0], "gone"}, 10: {lines[10][0], "gone"}, 11: {"new"}, 12: nil,
			})
			if len(files[3]) != 2 || files[3][0] != former[3][0] || files[3][1].Size != 250 || files[3][1].Path == files[3][0].Path {
				t.Errorf("files of the edited message: %+v", files[3])
			}
			if len(files[2]) != 1 || len(files[5]) != 1 || len(files[11]) != 1 {
				t.Errorf("files %+v, %+v, %+v", files[2], files[5], files[11])
			}
		})
	}
}

// A file that an edit has brought and that was not fetched is fetched later.
func TestEditedFileFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := channel(10, 0)
		cfg.Faults = []dctest.Fault{{Kind: "error", Code: 400, Message: "FILE_ID_INVALID", At: []int64{11}}}
		r := newRig(t, cfg)
		r.must(job{})
		r.ok(r.cluster.Edit(dctest.BigChannel, 3, document("another file")))
		if report := r.must(job{}); report.FilesFailed != 1 {
			t.Fatalf("%+v, want one file to fail", report.Counters)
		}
		if report := r.must(job{}); report.FilesDone != 1 || len(r.entries(r.folder())[3]) != 2 {
			t.Errorf("%+v, and the files are %+v", report.Counters, r.entries(r.folder())[3])
		}
	})
}

// A state that the server does not know, or too much to tell, leaves no hole.
func TestUnknownState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, unknown := range []bool{false, true} {
			r := newRig(t, channel(10, 120))
			r.must(job{})
			for range 120 {
				r.post(dctest.Post{Text: "words"})
			}
			r.post(document("new"))
			pts, err := r.client.ChannelState(t.Context(), r.peer)
			r.ok(err)
			asked, gaps := 0, 0
			r.source.answer(func(p int) (telegram.Difference, error) {
				if asked++; asked > 1 {
					return r.client.ChannelDifference(t.Context(), r.peer, p)
				}
				if unknown {
					return telegram.Difference{}, telegram.ErrPts
				}
				return telegram.Difference{Pts: pts, TooLong: true, Final: true}, nil
			})
			r.must(job{on: func(e transfer.Event) {
				if _, ok := e.(follow.HistoryGap); ok {
					gaps++
				}
			}})
			if gaps != 1 || asked == 0 {
				t.Errorf("%d gaps were told of, %d questions asked", gaps, asked)
			}
			r.ok(r.cluster.Edit(dctest.BigChannel, 131, dctest.Post{Text: "other words"}))
			r.must(job{})
			wantLines(t, r.lines(r.folder()), map[int][]string{131: {"words", "other words*"}, 251: {"new"}})
			r.entries(r.folder())
		}
	})
}

// Bounds on one run make no holes for another.
func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, channel(60, 0))
		bound := func(from, to int) selection.Selection {
			return selection.Selection{From: selection.Bound{ID: from}, To: selection.Bound{ID: to}}
		}
		for _, s := range []selection.Selection{bound(20, 30), bound(50, 0), bound(90, 0), bound(1, 5)} {
			r.must(job{s: s})
			r.post(document("new"))
			r.must(job{s: s})
		}
		r.must(job{s: selection.Selection{Kinds: []telegram.FileKind{telegram.KindPhoto}}})
		r.must(job{s: selection.Selection{Limit: 3}})
		if report := r.must(job{s: selection.Selection{Limit: 3}}); report.FilesSkipped != 3 {
			t.Errorf("the same three again: %+v", report.Counters)
		}
		r.must(job{})
		r.whole()
	})
}

// --since-last leaves out what is older than the last run that was finished,
// but not what has failed since.
func TestSinceLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := channel(10, 0)
		cfg.Faults = []dctest.Fault{{Kind: "error", Code: 400, Message: "FILE_ID_INVALID", At: []int64{6}}}
		r := newRig(t, cfg)
		r.must(job{s: selection.Selection{From: selection.Bound{ID: 8}}})
		last := job{o: follow.Options{SinceLast: true}}
		if report := r.must(last); report.FilesDone != 0 { // 8 to 10 are there: the last run has left nothing
			t.Errorf("nothing is new, but %+v", report.Counters)
		}
		r.post(document("a"), document("b"), document("c"))
		if report := r.must(last); report.FilesFailed != 1 || report.FilesDone != 2 {
			t.Errorf("three are new, of which one fails, but %+v", report.Counters)
		}
		if report := r.must(last); report.FilesDone != 1 {
			t.Errorf("one has failed, but %+v", report.Counters)
		}
		if report := r.must(job{}); report.FilesDone != 7 {
			t.Errorf("seven are older, but %+v", report.Counters)
		}
		r.whole()
	})
}

// Comments go into the folder of their group, with the posts that they answer.
func TestComments(t *testing.T) {
	r := newRig(t, dctest.Config{
		Channels: []dctest.ChannelConfig{{
			Username: dctest.BigChannel, Title: "Posts", Files: []dctest.FileSpec{{Kind: "document", Count: 4, MinSize: 300}},
			Comments: []dctest.FileSpec{{Kind: "document", Count: 6, MinSize: 200}, {Kind: "text", Count: 3}},
		}},
		Faults: []dctest.Fault{{Kind: "error", Code: 400, Message: "FILE_ID_INVALID", At: []int64{4}}},
	})
	j := job{s: selection.Selection{Comments: true}}
	first := r.must(j)
	if first.FilesDone != 9 || first.FilesFailed != 1 {
		t.Fatalf("first run %+v", first.Counters)
	}
	if second := r.must(j); second.FilesDone != 1 {
		t.Errorf("second run %+v", second.Counters)
	}
	before := r.calls("messages.getReplies")
	if third := r.must(j); third.FilesDone != 0 || third.FilesSkipped != 0 || r.calls("messages.getReplies") != before {
		t.Errorf("third run %+v, with %d questions for comments", third.Counters, r.calls("messages.getReplies")-before)
	}
	group := filepath.Join(r.dir, "-1001500000002")
	if n := len(r.entries(group)); n != 6 {
		t.Errorf("%d files of comments", n)
	}
	lines := r.lines(group)
	if len(lines) != 13 { // 4 copies of posts, 9 comments
		t.Errorf("lines of the group: %v", lines)
	}
	if files := r.entries(r.folder()); len(files) != 4 {
		t.Errorf("%d files of posts", len(files))
	}
}

// A dry run leaves nothing behind, and lists what a run would.
func TestDry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, channel(10, 5))
		r.must(job{s: selection.Selection{From: selection.Bound{ID: 8}}})
		before, err := os.ReadFile(filepath.Join(r.folder(), archive.MessagesName))
		r.ok(err)
		f, err := archive.Open(r.dir, r.peer)
		r.ok(err)
		s := &selection.Selection{}
		n := 0
		for d, err := range follow.New(r.source, r.peer, f, follow.Options{Selection: s, Pass: selection.NewPass(s, r.client), Dry: true}).FirstPass(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if d.File.Origin.MessageID >= 8 || !strings.HasPrefix(d.Path, fmt.Sprint(d.File.Origin.MessageID, "_")) {
				t.Errorf("message %d, %s", d.File.Origin.MessageID, d.Path)
			}
			n++
		}
		r.ok(f.Close())
		after, err := os.ReadFile(filepath.Join(r.folder(), archive.MessagesName))
		r.ok(err)
		r.must(job{})
		if files := r.entries(r.folder()); len(files) != 10 || n == 0 || n >= 10 || string(before) != string(after) {
			t.Errorf("%d files would have been fetched", n)
		}
	})
}
