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
	clusterEnv  = "HAUL_TEST_CLUSTER" // set in the process of the cluster: parts of the smaller file
	uploadPart  = 512 << 10
	warmUp      = 2 // rounds: connections, buffers, maps that have grown
	maxDown     = 10
	maxUp       = 12
	allocRounds = 8   // at most: other processes may get in between
	benchParts  = 512 // of the smaller file of the benchmark; a number above 255 is boxed
)

// TestCluster is no test: it is the process of the cluster, and ends with its
// standard input.
func TestCluster(t *testing.T) {
	parts, err := strconv.ParseInt(os.Getenv(clusterEnv), 10, 64)
	if err != nil {
		t.Skip("run by TestAllocationsOfAPart")
	}
	channel := func(name string, parts int64) dctest.ChannelConfig {
		size := parts * transfer.MaxPartSize
		return dctest.ChannelConfig{Username: name, Title: name, Files: []dctest.FileSpec{{
			Kind: "document", Count: 1, MinSize: size, MaxSize: size,
		}}}
	}
	cluster, err := dctest.Start(t.Context(), dctest.Config{
		Channels: []dctest.ChannelConfig{channel("few_parts", parts), channel("more_parts", 2*parts)},
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
	parts  int // of the smaller file
	client *telegram.Client
	engine *transfer.Engine
	peer   telegram.Peer
	files  [2]telegram.File
	source [2]string
	dir    *os.Root
}

func newMover(tb testing.TB, parts int) *mover {
	tb.Helper()
	m := &mover{parts: parts, client: clientOf(tb, startCluster(tb, parts))}
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
		if err := f.Truncate(int64(m.partsOf(i)) * uploadPart); err != nil {
			tb.Fatal(err)
		}
		if err := f.Close(); err != nil {
			tb.Fatal(err)
		}
	}
	// Two connections are what a pool begins with: none is made later.
	m.engine = transfer.New(m.client, transfer.Options{Checkpoint: checkpoint.NewMemory(), Connections: 2})
	return m
}

// startCluster starts the process, which ends with the test, and returns what
// it says of its datacenters.
func startCluster(tb testing.TB, parts int) *telegram.Datacenters {
	tb.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestCluster$")
	cmd.Env = append(os.Environ(), clusterEnv+"="+strconv.Itoa(parts))
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

// partsOf is how many parts a file has.
func (m *mover) partsOf(i int) int { return (i + 1) * m.parts }

// download fetches one of the files and forgets it.
func (m *mover) download(tb testing.TB, i int) {
	f := m.files[i]
	defer m.dir.Remove("file") //nolint:errcheck // the next one fails then
	r, err := m.engine.Download(tb.Context(), func(yield func(transfer.Download, error) bool) {
		yield(transfer.Download{File: f, Dir: m.dir, Path: "file"}, nil)
	})
	if err != nil || r.FilesDone != 1 || r.Parts != m.partsOf(i) {
		tb.Fatalf("%v: %d files, %d parts: %+v", err, r.FilesDone, r.Parts, r.Failed)
	}
}

func (m *mover) upload(tb testing.TB, i int) {
	r, err := m.engine.Upload(tb.Context(), func(yield func(transfer.Upload, error) bool) {
		yield(transfer.Upload{Path: m.source[i], To: m.peer}, nil)
	})
	if err != nil || r.FilesDone != 1 || r.Parts != m.partsOf(i) {
		tb.Fatalf("%v: %d files, %d parts: %+v", err, r.FilesDone, r.Parts, r.Failed)
	}
}

// perPart is how many allocations, and bytes, a part takes.
func (m *mover) perPart(tb testing.TB, move func(testing.TB, int)) (allocs, bytes float64) {
	var made [2]runtime.MemStats
	count := func(i int) (mallocs, size uint64) {
		runtime.ReadMemStats(&made[0])
		move(tb, i)
		runtime.ReadMemStats(&made[1])
		return made[1].Mallocs - made[0].Mallocs, made[1].TotalAlloc - made[0].TotalAlloc
	}
	few, fewBytes := count(0)
	more, moreBytes := count(1)
	return float64(int64(more-few)) / float64(m.parts), float64(int64(moreBytes-fewBytes)) / float64(m.parts)
}

// TestAllocationsOfAPart: what a part costs does not grow again.
func TestAllocationsOfAPart(t *testing.T) {
	if transfer.UnderRace {
		t.Skip("the race detector allocates, and pools forget on purpose")
	}
	m := newMover(t, 96)
	for _, tt := range []struct {
		name string
		move func(testing.TB, int)
		most float64
	}{{"download", m.download, maxDown}, {"upload", m.upload, maxUp}} {
		for range warmUp {
			tt.move(t, 1)
		}
		var seen []float64
		for len(seen) < allocRounds && (len(seen) == 0 || slices.Min(seen) > tt.most) {
			n, _ := m.perPart(t, tt.move)
			seen = append(seen, n)
		}
		if slices.Min(seen) > tt.most {
			t.Errorf("%s: %.1f allocations a part, want at most %v", tt.name, seen, tt.most)
		}
	}
}

// BenchmarkSteadyPart prints what a part costs the client in the middle of a
// file. An operation is a file of 512 parts and one of 1024; parts have 1 MiB
// down and 512 KiB up.
func BenchmarkSteadyPart(b *testing.B) {
	m := newMover(b, benchParts)
	for _, bb := range []struct {
		name string
		move func(testing.TB, int)
		size int64
	}{{"download", m.download, transfer.MaxPartSize}, {"upload", m.upload, uploadPart}} {
		b.Run(bb.name, func(b *testing.B) {
			for range warmUp {
				bb.move(b, 1)
			}
			b.SetBytes(3 * benchParts * bb.size)
			var allocs, bytes []float64
			for b.Loop() {
				n, size := m.perPart(b, bb.move)
				allocs, bytes = append(allocs, n), append(bytes, size)
			}
			slices.Sort(allocs)
			slices.Sort(bytes)
			b.ReportMetric(allocs[len(allocs)/2], "allocs/part")
			b.ReportMetric(bytes[len(bytes)/2], "B/part")
		})
	}
}
