package transfer_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"testing"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/transfer"
)

// What a part costs in allocations in the second half of a file, from the engine
// down to the sockets. The cluster is in a process of its own, so that what is
// counted is the client's. It is counted at commits of the checkpoint, which
// come every 8 MiB.

const (
	clusterEnv  = "HAUL_TEST_CLUSTER" // set in the process of the cluster: the size of its file
	uploadPart  = 512 << 10
	maxDown     = 3
	maxUp       = 4
	allocRounds = 8 // at most: other processes may get in between
)

// A workload says how many parts there are down and up, and the size of parts
// down. From the 256th on, numbers are boxed that Go has no boxes for.
type workload struct{ down, up, partSize int }

// TestCluster is no test: it is the process of the cluster, and ends with its
// standard input.
func TestCluster(t *testing.T) {
	size, err := strconv.ParseInt(os.Getenv(clusterEnv), 10, 64)
	if err != nil {
		t.Skip("run by TestAllocationsOfAPart")
	}
	cluster, err := dctest.Start(t.Context(), dctest.Config{Channels: []dctest.ChannelConfig{{
		Username: dctest.BigChannel, Title: "One file",
		Files: []dctest.FileSpec{{Kind: "document", Count: 1, MinSize: size, MaxSize: size}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close() //nolint:errcheck // nothing is asked of it any more
	if err := json.NewEncoder(os.Stdout).Encode(cluster.Datacenters()); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // until it ends
}

// A mover is a client of a cluster that moves one file in either direction.
type mover struct {
	workload
	client *telegram.Client
	peer   telegram.Peer
	file   telegram.File
	source string
	dir    *os.Root
}

func newMover(tb testing.TB, w workload) *mover {
	tb.Helper()
	m := &mover{workload: w, client: clientOf(tb, startCluster(tb, w.down*w.partSize))}
	tb.Cleanup(func() { _ = m.client.Close() })
	var err error
	if m.dir, err = os.OpenRoot(tb.TempDir()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = m.dir.Close() })
	if m.peer, err = m.client.Resolve(tb.Context(), "@"+dctest.BigChannel); err != nil {
		tb.Fatal(err)
	}
	for msg, err := range m.client.Messages(tb.Context(), m.peer, telegram.MessagesOptions{}) {
		if err != nil {
			tb.Fatal(err)
		}
		m.file = msg.Files[0]
	}
	m.source = filepath.Join(m.dir.Name(), "source")
	if err := os.WriteFile(m.source, nil, 0o600); err != nil {
		tb.Fatal(err)
	}
	if err := os.Truncate(m.source, int64(w.up)*uploadPart); err != nil {
		tb.Fatal(err)
	}
	return m
}

// startCluster starts the process, which ends with the test, and returns what
// it says of its datacenters.
func startCluster(tb testing.TB, size int) *telegram.Datacenters {
	tb.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestCluster$")
	cmd.Env = append(os.Environ(), clusterEnv+"="+strconv.Itoa(size))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	said := bufio.NewReader(out)
	tb.Cleanup(func() {
		_ = in.Close() // what ends it
		_, _ = io.Copy(io.Discard, said)
		_ = cmd.Wait() // how it ends matters to nobody
	})
	line, err := said.ReadBytes('\n')
	if err != nil {
		tb.Fatal(err)
	}
	dcs, err := telegram.ParseDatacenters(line)
	if err != nil {
		tb.Fatalf("%v: %s", err, line)
	}
	return dcs
}

func clientOf(tb testing.TB, dcs *telegram.Datacenters) *telegram.Client {
	tb.Helper()
	client, err := telegram.Dial(tb.Context(), telegram.Config{AppID: 1, AppHash: "x", Datacenters: dcs})
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := client.LoginBot(tb.Context(), dctest.BotToken); err != nil {
		tb.Fatal(err)
	}
	return client
}

func (m *mover) engine(cp transfer.Checkpoint) *transfer.Engine {
	// Two connections are what a pool begins with: none is made later.
	return transfer.New(m.client, transfer.Options{Checkpoint: cp, Connections: 2, PartSize: m.partSize})
}

func (m *mover) download(tb testing.TB, cp transfer.Checkpoint) {
	defer m.dir.Remove("file") //nolint:errcheck // the next one fails then
	r, err := m.engine(cp).Download(tb.Context(), func(yield func(transfer.Download, error) bool) {
		yield(transfer.Download{File: m.file, Dir: m.dir, Path: "file"}, nil)
	})
	if err != nil || r.FilesDone != 1 || r.Parts != m.down {
		tb.Fatalf("%v: %d files, %d parts: %+v", err, r.FilesDone, r.Parts, r.Failed)
	}
}

func (m *mover) upload(tb testing.TB, cp transfer.Checkpoint) {
	r, err := m.engine(cp).Upload(tb.Context(), func(yield func(transfer.Upload, error) bool) {
		yield(transfer.Upload{Path: m.source, To: m.peer}, nil)
	})
	if err != nil || r.FilesDone != 1 || r.Parts != m.up {
		tb.Fatalf("%v: %d files, %d parts: %+v", err, r.FilesDone, r.Parts, r.Failed)
	}
}

// A way is one of the two that files go.
type way struct {
	name  string
	move  func(testing.TB, transfer.Checkpoint)
	parts int
	size  int // of a part
	most  float64
}

func (m *mover) ways() []way {
	return []way{{"download", m.download, m.down, m.partSize, maxDown}, {"upload", m.upload, m.up, uploadPart, maxUp}}
}

// A counting checkpoint counts what has been allocated at each commit.
type counting struct {
	transfer.Checkpoint
	marked  int // changes so far: nearly all of them are parts
	samples []sample
}

type sample struct {
	marked        int
	allocs, bytes uint64
}

func (c *counting) Commit(b *checkpoint.Batch) error {
	err := c.Checkpoint.Commit(b)
	c.marked += b.Len()
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	c.samples = append(c.samples, sample{c.marked, mem.Mallocs, mem.TotalAlloc})
	return err
}

// perPart moves the file and returns how many allocations, and bytes, a part
// takes of its second half. The last commits are those of its end.
func (w way) perPart(tb testing.TB, cp transfer.Checkpoint) (allocs, bytes float64) {
	c := &counting{Checkpoint: cp, samples: make([]sample, 0, 4096)}
	w.move(tb, c)
	var steady []sample
	for _, s := range c.samples {
		if s.marked >= w.parts/2 && s.marked < w.parts {
			steady = append(steady, s)
		}
	}
	if len(steady) < 2 {
		tb.Fatalf("%d commits in the second half", len(steady))
	}
	first, last := steady[0], steady[len(steady)-1]
	parts := float64(last.marked - first.marked)
	return float64(last.allocs-first.allocs) / parts, float64(last.bytes-first.bytes) / parts
}

// TestAllocationsOfAPart: what a part costs does not grow again.
func TestAllocationsOfAPart(t *testing.T) {
	if transfer.UnderRace {
		t.Skip("the race detector allocates, and pools forget on purpose")
	}
	for _, w := range newMover(t, workload{down: 512, up: 160, partSize: 128 << 10}).ways() {
		var seen []float64
		for len(seen) < allocRounds && (len(seen) == 0 || slices.Min(seen) > w.most) {
			n, _ := w.perPart(t, checkpoint.NewMemory())
			seen = append(seen, n)
		}
		t.Logf("%s: %.1f allocations a part", w.name, seen)
		if slices.Min(seen) > w.most {
			t.Errorf("%s: %.1f allocations a part, want at most %v", w.name, seen, w.most)
		}
	}
}

// BenchmarkSteadyPart prints what a part costs the client in the second half of
// a file, with a checkpoint in memory and with a store. An operation is a file
// of 1024 parts, of 1 MiB down and 512 KiB up.
func BenchmarkSteadyPart(b *testing.B) {
	m := newMover(b, workload{down: 1024, up: 1024, partSize: transfer.MaxPartSize})
	run := func(cp transfer.Checkpoint) {
		for _, w := range m.ways() {
			b.Run(fmt.Sprintf("%s/%T", w.name, cp), func(b *testing.B) { w.benchmark(b, cp) })
		}
	}
	run(checkpoint.NewMemory())
	store, err := checkpoint.Open(b.TempDir(), checkpoint.Options{}) // now, for it does things by itself
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close() //nolint:errcheck // a folder that is thrown away
	run(store)
}

func (w way) benchmark(b *testing.B, cp transfer.Checkpoint) {
	b.SetBytes(int64(w.parts) * int64(w.size))
	var allocs, bytes []float64
	for b.Loop() {
		n, size := w.perPart(b, cp)
		allocs, bytes = append(allocs, n), append(bytes, size)
	}
	slices.Sort(allocs)
	slices.Sort(bytes)
	b.ReportMetric(allocs[len(allocs)/2], "allocs/part")
	b.ReportMetric(bytes[len(bytes)/2], "B/part")
}
