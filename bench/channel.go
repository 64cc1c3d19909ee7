package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/tghaul/haul/bench/internal/rig"
	"github.com/tghaul/haul/telegram/dctest"
)

// A channelBench is a very long channel, of which a part is archived.
type channelBench struct {
	r      *rig.Rig
	report *rig.Report
	c      *rig.Cluster
	user   *rig.Client
	voices int // files of the part that is archived
	before *dctest.Stats
}

// channel goes through a channel of very many messages, of which one in twenty
// has a file: a dry run, an archive of the voice messages with all texts, the
// same once more, and a watch while another client posts.
func channel(f *flag.FlagSet) func(*rig.Rig, *rig.Report) error {
	messages := f.Int("messages", 1_000_000, "messages of the channel")
	media := f.Int("media", 50_000, "messages with a file of 100 to 2000 bytes, among them; a fifth of these are voice messages")
	posts := f.Int("posts", 5, "messages that another client posts while the channel is watched")
	return func(r *rig.Rig, report *rig.Report) error {
		b := &channelBench{r: r, report: report, voices: *media / 5}
		cluster, err := r.Start(dctest.Config{Channels: []dctest.ChannelConfig{{
			Username: "bench", Title: "Bench", Files: []dctest.FileSpec{
				{Kind: "voice", Count: b.voices, MinSize: 100, MaxSize: 2000},
				{Kind: "document", Count: *media - b.voices, MinSize: 100, MaxSize: 2000},
				{Kind: "text", Count: *messages - *media},
			},
		}}})
		if err != nil {
			return err
		}
		b.c = cluster
		if b.user, err = cluster.LoginUser(); err != nil {
			return err
		}
		wanted := []string{"archive", "@bench", "--type", "voice", "-d", r.Path("out")}
		dry, err := b.measure("dry_run", append(slices.Clone(wanted), "--dry-run")...)
		if err != nil {
			return err
		}
		report.Must("dry_run_files", float64(dry.WouldFetch), float64(b.voices))
		report.AtMost("dry_run_seconds", dry.Elapsed.Seconds(), 60, "s")

		first, err := b.measure("archive", wanted...)
		if err != nil {
			return err
		}
		report.Must("archive_files", float64(first.Run.FilesDone), float64(b.voices))
		report.Value("archive_seconds", first.Elapsed.Seconds(), "s")
		if len(first.Started) > 0 {
			report.AtMost("archive_first_file_seconds", first.Started[0].Time.Sub(first.Begun).Seconds(), 2, "s")
		}

		second, err := b.measure("second_run", wanted...)
		if err != nil {
			return err
		}
		report.Must("second_run_files", float64(second.Run.FilesDone+second.Run.FilesSkipped), 0)
		report.AtMost("second_run_seconds", second.Elapsed.Seconds(), 10, "s")
		// What the other client posts are documents, whatever it calls them.
		return b.watch(*posts, "archive", "@bench", "-d", r.Path("out"), "--from", strconv.Itoa(*messages+1), "--watch")
	}
}

// measure runs a command to its end, and reports its memory and its requests.
func (b *channelBench) measure(name string, args ...string) (*rig.Result, error) {
	if err := b.count(); err != nil {
		return nil, err
	}
	res, err := b.user.Run(args...)
	if err != nil {
		return nil, err
	}
	if res.Exit != 0 {
		return nil, res.Failure(name)
	}
	return res, b.tell(name, res)
}

// count notes how many requests there were so far.
func (b *channelBench) count() (err error) {
	b.before, err = b.c.Stats()
	return err
}

// tell reports what a command took, and which requests it made.
func (b *channelBench) tell(name string, res *rig.Result) error {
	after, err := b.c.Stats()
	if err != nil {
		return err
	}
	b.report.AtMost(name+"_rss", res.MaxRSS, 256, "MiB")
	b.report.Value(name+"_cpu_seconds", res.CPU.Seconds(), "s")
	requests := func(s *dctest.Stats, method string) (n int64) {
		for _, dc := range s.Methods[method] {
			n += dc.Requests
		}
		return n
	}
	total := int64(0)
	for _, method := range slices.Sorted(maps.Keys(after.Methods)) {
		n := requests(after, method) - requests(b.before, method)
		total += n
		if n > 0 && reported[method] {
			b.report.Value(name+" "+method, float64(n), "requests")
		}
	}
	b.report.Value(name+" all", float64(total), "requests")
	return nil
}

// reported are the methods that are reported by themselves.
var reported = map[string]bool{
	"messages.getHistory": true, "messages.search": true, "channels.getMessages": true, "upload.getFile": true,
	"updates.getChannelDifference": true, "channels.getFullChannel": true,
}

// watch has another client post while the channel is watched.
func (b *channelBench) watch(posts int, args ...string) (err error) {
	poster, err := b.c.Login()
	if err != nil {
		return err
	}
	if err := b.count(); err != nil {
		return err
	}
	p, err := b.user.Go(args...)
	if err != nil {
		return err
	}
	defer p.Interrupt()
	if !p.Await("watching", 2*time.Minute) {
		return fmt.Errorf("no watch within two minutes")
	}
	sent := make(map[string]time.Time) // by SHA-256
	for i := range posts {
		name := fmt.Sprintf("post-%d.bin", i)
		if err := rig.Noise(b.r.Path(name), 1500, uint64(i)+1); err != nil {
			return err
		}
		up, err := poster.Run("up", b.r.Path(name), "--to", "@bench")
		if err != nil {
			return err
		}
		if len(up.Done) != 1 {
			return up.Failure("up")
		}
		sent[up.Done[0].SHA256] = up.Done[0].Time
	}
	if !p.Await("chat_changed", time.Minute) {
		return errors.New("the watch told of no change within a minute")
	}
	time.Sleep(3 * time.Second) // for the last one
	p.Interrupt()
	res, err := p.Wait()
	if err != nil {
		return err
	}
	var waits []float64
	for _, f := range res.Done {
		if at, ok := sent[f.SHA256]; ok {
			waits = append(waits, f.Time.Sub(at).Seconds())
		}
	}
	b.report.Must("watch_files", float64(len(waits)), float64(posts))
	b.report.AtMost("watch_seconds_to_file", slices.MaxFunc(append(waits, 0), cmp.Compare[float64]), 5, "s")
	b.report.Must("watch_exit", float64(res.Exit), 130)
	return b.tell("watch", res)
}
