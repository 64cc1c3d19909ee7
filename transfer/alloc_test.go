package transfer_test

import (
	"bufio"
	"encoding/json"
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

// What a part costs in allocations, from the engine down to the sockets, while
// a file is under way. The cluster is in a process of its own, and a file is
// moved that has twice the parts of another: the difference is what the parts
// cost, and start and end of a file drop out.

const (
	clusterEnv  = "HAUL_TEST_CLUSTER" // set in the process of the cluster: bytes of the smaller file
	uploadPart  = 512 << 10
	maxDown     = 5
	maxUp       = 8
	allocRounds = 8 // at most: other processes may get in between
)

// A workload says how many parts the smaller file has down and up, and the size
// of parts down. With more than 256 in both files together numbers are boxed
// that Go has no boxes for.
type workload struct{ down, up, partSize int }

// TestCluster is no test: it is the process of the cluster, and ends with its
// standard input.
func TestCluster(t *testing.T) {
	few, err := strconv.ParseInt(os.Getenv(clusterEnv), 10, 64)
	if err != nil {
		t.Skip("run by TestAllocationsOfAPart")
	}
	channel := func(name string, size int64) dctest.ChannelConfig {
		return dctest.ChannelConfig{Username: name, Title: name, Files: []dctest.FileSpec{{
			Kind: "document", Count: 1, MinSize: size, MaxSize: size,
		}}}
	}
	cluster, err := dctest.Start(t.Context(), dctest.Config{
		Channels: []dctest.ChannelConfig{channel("few_parts", few), channel("more_parts", 2*few)},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close() //nolint:errcheck // nothing is asked of it any more
	if err := json.NewEncoder(os.Stdout).Encode(cluster.Datacenters()); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // until it ends
}

// A mover is a client of a cluster that moves files of few and of more parts.
type mover struct {
	workload
	client *telegram.Client
	engine *transfer.Engine
	peer   telegram.Peer
	files  [2]telegram.File
	source [2]string
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
	for i, name := range []string{"few_parts", "more_parts"} {
		if m.peer, err = m.client.Resolve(tb.Context(), "@"+name); err != nil {
			tb.Fatal(err)
		}
		for msg, err := range m.client.Messages(tb.Context(), m.peer, telegram.MessagesOptions{}) {
			if err != nil {
				tb.Fatal(err)
			}
			m.files[i] = msg.Files[0]
		}
		m.source[i] = filepath.Join(m.dir.Name(), name)
		f, err := os.Create(m.source[i])
		if err != nil {
			tb.Fatal(err)
		}
		if err := f.Truncate(int64(i+1) * int64(w.up) * uploadPart); err != nil {
			tb.Fatal(err)
		}
		if err := f.Close(); err != nil {
			tb.Fatal(err)
		}
	}
	// Two connections are what a pool begins with: none is made later.
	m.engine = transfer.New(m.client, transfer.Options{Checkpoint: checkpoint.NewMemory(), Connections: 2, PartSize: w.partSize})
	return m
}

// startCluster starts the process, which ends with the test, and returns what
// it says of its datacenters.
func startCluster(tb testing.TB, few int) *telegram.Datacenters {
	tb.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestCluster$")
	cmd.Env = append(os.Environ(), clusterEnv+"="+strconv.Itoa(few))
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

// download fetches one of the files and forgets it.
func (m *mover) download(tb testing.TB, i int) {
	f := m.files[i]
	defer m.dir.Remove("file") //nolint:errcheck // the next one fails then
	r, err := m.engine.Download(tb.Context(), func(yield func(transfer.Download, error) bool) {
		yield(transfer.Download{File: f, Dir: m.dir, Path: "file"}, nil)
	})
	if err != nil || r.FilesDone != 1 || r.Parts != (i+1)*m.down {
		tb.Fatalf("%v: %d files, %d parts: %+v", err, r.FilesDone, r.Parts, r.Failed)
	}
}

// upload sends one of the sources.
func (m *mover) upload(tb testing.TB, i int) {
	r, err := m.engine.Upload(tb.Context(), func(yield func(transfer.Upload, error) bool) {
		yield(transfer.Upload{Path: m.source[i], To: m.peer}, nil)
	})
	if err != nil || r.FilesDone != 1 || r.Parts != (i+1)*m.up {
		tb.Fatalf("%v: %d files, %d parts: %+v", err, r.FilesDone, r.Parts, r.Failed)
	}
}

// A way is one of the two that files go.
type way struct {
	name  string
	move  func(tb testing.TB, file int)
	parts int // of the smaller file
	size  int // of a part
	most  float64
}

func (m *mover) ways() []way {
	return []way{{"download", m.download, m.down, m.partSize, maxDown}, {"upload", m.upload, m.up, uploadPart, maxUp}}
}

// perPart is how many allocations, and bytes, a part takes.
func (w way) perPart(tb testing.TB) (allocs, bytes float64) {
	count := func(file int) (mallocs, size int64) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		w.move(tb, file)
		runtime.ReadMemStats(&after)
		return int64(after.Mallocs - before.Mallocs), int64(after.TotalAlloc - before.TotalAlloc)
	}
	few, fewBytes := count(0)
	more, moreBytes := count(1)
	return float64(more-few) / float64(w.parts), float64(moreBytes-fewBytes) / float64(w.parts)
}

// TestAllocationsOfAPart: what a part costs does not grow again.
func TestAllocationsOfAPart(t *testing.T) {
	if transfer.UnderRace {
		t.Skip("the race detector allocates, and pools forget on purpose")
	}
	for _, w := range newMover(t, workload{down: 256, up: 96, partSize: 128 << 10}).ways() {
		w.move(t, 0) // what is made once: connections, buffers, keys
		var seen []float64
		for len(seen) < allocRounds && (len(seen) == 0 || slices.Min(seen) > w.most) {
			n, _ := w.perPart(t)
			seen = append(seen, n)
		}
		t.Logf("%s: %.1f allocations a part", w.name, seen)
		if slices.Min(seen) > w.most {
			t.Errorf("%s: %.1f allocations a part, want at most %v", w.name, seen, w.most)
		}
	}
}

// BenchmarkSteadyPart prints what a part costs the client in the middle of a
// file. An operation is a file of 512 parts and one of 1024; parts have 1 MiB
// down and 512 KiB up.
func BenchmarkSteadyPart(b *testing.B) {
	for _, w := range newMover(b, workload{down: 512, up: 512, partSize: transfer.MaxPartSize}).ways() {
		b.Run(w.name, func(b *testing.B) {
			w.move(b, 1) // what is made once: connections, buffers, keys
			b.SetBytes(3 * int64(w.parts) * int64(w.size))
			var allocs, bytes []float64
			for b.Loop() {
				n, size := w.perPart(b)
				allocs, bytes = append(allocs, n), append(bytes, size)
			}
			slices.Sort(allocs)
			slices.Sort(bytes)
			b.ReportMetric(allocs[len(allocs)/2], "allocs/part")
			b.ReportMetric(bytes[len(bytes)/2], "B/part")
		})
	}
}
