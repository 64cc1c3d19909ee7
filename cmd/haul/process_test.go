//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/transfer"
)

// These tests run haul as a process and end it as people and systems do. The
// test's own binary is the program: TestMain makes it haul when it is called so.

const (
	processSize = 24 << 20 // of the file that is moved
	processRate = 12 << 20 // bytes a second: it takes two seconds
	patience    = time.Minute
)

// A stage is a cluster, a folder, and an account that is signed in.
type stage struct {
	t       *testing.T
	cluster *dctest.Cluster
	dir     string
	source  string // a file to send
}

func newStage(t *testing.T, cfg dctest.Config) *stage {
	t.Helper()
	if cfg.Channels == nil {
		cfg.Channels = []dctest.ChannelConfig{{
			Username: "media", Files: []dctest.FileSpec{{Kind: "document", Count: 1, MinSize: processSize}},
		}}
	}
	cluster, err := dctest.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.Close() })
	s := &stage{t: t, cluster: cluster, dir: t.TempDir()}
	if err := cluster.Datacenters().WriteFile(filepath.Join(s.dir, "dc.json")); err != nil {
		t.Fatal(err)
	}
	s.source = s.noise("source.bin", processSize)
	s.run(0, "login", "-T", "bot", "--token", dctest.BotToken)
	return s
}

func (s *stage) noise(name string, size int) string {
	s.t.Helper()
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// A process is a haul under way, with --json.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	stderr bytes.Buffer
	out    []string // complete once read is done
	read   sync.WaitGroup
	lines  chan string
}

func (s *stage) command(args ...string) *exec.Cmd {
	s.t.Helper()
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.CommandContext(s.t.Context(), self)
	cmd.Args = append([]string{"haul", "--json", "--datacenters", filepath.Join(s.dir, "dc.json"), "--store", filepath.Join(s.dir, "store")}, args...)
	cmd.Dir = s.dir
	return cmd
}

// start starts a command and follows its lines.
func (s *stage) start(args ...string) *process {
	s.t.Helper()
	p := &process{t: s.t, cmd: s.command(args...), lines: make(chan string, 10_000)}
	p.cmd.Stderr = &p.stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	p.read.Go(func() {
		defer close(p.lines)
		for sc := bufio.NewScanner(out); sc.Scan(); {
			p.out = append(p.out, sc.Text())
			p.lines <- sc.Text()
		}
	})
	return p
}

// wait waits for the end and returns the exit code, -1 if it was killed.
func (p *process) wait() int {
	p.t.Helper()
	kill := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	p.read.Wait()
	err := p.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	return p.cmd.ProcessState.ExitCode()
}

// until waits for an event, and fails the test if the process ends before.
func (p *process) until(what string, is func(event string, line []byte) bool) {
	p.t.Helper()
	for line := range p.lines {
		var head transfer.Header
		if err := json.Unmarshal([]byte(line), &head); err != nil {
			p.t.Fatal(err)
		}
		if is(head.Event, []byte(line)) {
			return
		}
	}
	code := p.wait()
	p.t.Fatalf("ended with %d before %s: %s", code, what, p.stderr.String())
}

// moved waits until so many bytes were moved.
func (p *process) moved(bytes int64) {
	p.t.Helper()
	p.until("it had moved enough", func(event string, line []byte) bool {
		var e transfer.Progress
		return event == "progress" && json.Unmarshal(line, &e) == nil && e.Bytes >= bytes
	})
}

// run runs a command to its end and returns what it has printed.
func (s *stage) run(want int, args ...string) (stdout, stderr string) {
	s.t.Helper()
	p := s.start(args...)
	if got := p.wait(); got != want {
		s.t.Fatalf("haul %s: exit code %d, want %d: %s%s", strings.Join(args, " "), got, want, p.stderr.String(), strings.Join(p.out, "\n"))
	}
	return strings.Join(p.out, "\n"), p.stderr.String()
}

// A direction is what is done to a file in these tests.
type direction struct {
	name  string
	args  func(s *stage) []string
	check func(s *stage) // that it is done, and right
	moved func(s *stage) int64
}

var directions = []direction{
	{
		"download",
		func(*stage) []string { return []string{"dl", "https://t.me/media/1", "-d", "out"} },
		func(s *stage) {
			names, _ := filepath.Glob(filepath.Join(s.dir, "out", "*"))
			if len(names) != 1 {
				s.t.Fatalf("%v in the folder, want one file", names)
			}
			if sum, err := fileSum(names[0]); err != nil || sum != s.cluster.Files()[0].SHA256 {
				s.t.Errorf("%s has SHA-256 %s, %v; want %s", names[0], sum, err, s.cluster.Files()[0].SHA256)
			}
		},
		func(s *stage) (n int64) {
			for _, f := range s.cluster.Stats().Files {
				n += f.Bytes
			}
			return n
		},
	},
	{
		"upload",
		func(s *stage) []string { return []string{"up", s.source, "--to", "@media"} },
		func(s *stage) { s.checkSent(s.source) },
		func(s *stage) (n int64) {
			for _, f := range s.cluster.Stats().Uploads {
				n += f.Bytes
			}
			return n
		},
	},
}

// checkSent wants one message for each file, with the right content, and no other.
func (s *stage) checkSent(paths ...string) {
	s.t.Helper()
	sent := s.cluster.Stats().Sent
	if len(sent) != len(paths) {
		s.t.Errorf("%d messages sent, want %d: %+v", len(sent), len(paths), sent)
	}
	for _, path := range paths {
		want, err := fileSum(path)
		if err != nil {
			s.t.Fatal(err)
		}
		n := 0
		for _, m := range sent {
			if m.Name == filepath.Base(path) && m.SHA256 == want {
				n++
			}
		}
		if n != 1 {
			s.t.Errorf("%s was sent %d times, want once", path, n)
		}
	}
}

// jobState wants one job in a state.
func (s *stage) jobState(want string) {
	s.t.Helper()
	out, _ := s.run(0, "jobs")
	if strings.Count(out, `"job":`) != 1 || !strings.Contains(out, `"state":"`+want+`"`) {
		s.t.Errorf("jobs: %s; want one that is %s", out, want)
	}
}

// slack is by how much a promised time may be exceeded here: with the race
// detector, beside other tests, on a busy machine. What would hang takes longer.
const slack = 10

// TestInterrupted: SIGINT and SIGTERM end haul within two seconds, with code
// 130, and nothing that was moved is lost (faults 49).
func TestInterrupted(t *testing.T) {
	for _, d := range directions {
		for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
			t.Run(d.name+"/"+sig.String(), func(t *testing.T) {
				t.Parallel()
				s := newStage(t, dctest.Config{DCBandwidth: processRate})
				p := s.start(d.args(s)...)
				p.moved(6 << 20)
				begin := time.Now()
				if err := p.cmd.Process.Signal(sig); err != nil {
					t.Fatal(err)
				}
				code := p.wait()
				t.Logf("ended after %v", time.Since(begin))
				if took := time.Since(begin); code != exitInterrupted || took > slack*2*time.Second {
					t.Errorf("exit code %d after %v, want 130 within 2 s: %s", code, took, p.stderr.String())
				}
				if !strings.Contains(p.stderr.String(), "interrupted") {
					t.Errorf("it said %q", p.stderr.String())
				}
				s.jobState(jobInterrupted)
				out, _ := s.run(0, "resume")
				d.check(s)
				// What the cluster has sent need not have come yet.
				if resumedBytes(t, out) == 0 {
					t.Error("nothing was taken over of what was moved before the signal")
				}
				if twice := d.moved(s) - processSize; twice > 32<<20 {
					t.Errorf("%d bytes moved twice, want at most those in flight", twice)
				}
				if out, _ := s.run(0, "jobs"); out != "" {
					t.Errorf("jobs: %s; want none", out)
				}
			})
		}
	}
}

// resumedBytes are those of the first file_started.
func resumedBytes(t *testing.T, out string) int64 {
	t.Helper()
	for line := range strings.Lines(out) {
		var e transfer.FileStarted
		if err := json.Unmarshal([]byte(line), &e); err == nil && e.Event == "file_started" {
			return e.ResumedBytes
		}
	}
	t.Fatalf("no file was started: %s", out)
	return 0
}

// TestKilled ends haul with kill -9 at random moments, several times each; the
// bytes are right in the end, and the message is one (faults 38). make kill is
// the long form.
func TestKilled(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for i, d := range directions {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, uint64(i)))
			s := newStage(t, dctest.Config{DCBandwidth: processRate})
			args := d.args(s)
			kills := 0
			for range 4 {
				p := s.start(args...)
				time.AfterFunc(time.Duration(random.Int64N(int64(1200*time.Millisecond))), func() { _ = p.cmd.Process.Kill() })
				switch code := p.wait(); code {
				case -1:
					kills++
				case 0: // it was faster
				default:
					t.Fatalf("exit code %d: %s", code, p.stderr.String())
				}
				if args[0] != "resume" && strings.Contains(strings.Join(p.out, ""), "file_started") {
					args = []string{"resume"} // from here on there is a job
				}
			}
			s.run(0, args...)
			d.check(s)
			if twice := d.moved(s) - processSize; twice > int64(kills)*(32<<20) {
				t.Errorf("%d bytes moved twice because of %d kills", twice, kills)
			}
			t.Logf("%d kills, %d KiB moved twice", kills, (d.moved(s)-processSize)>>10)
		})
	}
}

// TestKilledIsJob: a job whose process is gone says so.
func TestKilledIsJob(t *testing.T) {
	t.Parallel()
	s := newStage(t, dctest.Config{DCBandwidth: processRate})
	p := s.start(directions[0].args(s)...)
	p.moved(1 << 20)
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.wait()
	s.jobState(jobKilled)
	s.run(0, directions[0].args(s)...) // the same command line goes on with it
	directions[0].check(s)
	if out, _ := s.run(0, "jobs"); out != "" {
		t.Errorf("jobs: %s; want none", out)
	}
}

// TestResumeSendsOnce kills an upload of several files after some were sent.
// Those are not sent again, even if one's source is gone.
func TestResumeSendsOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t, dctest.Config{DCBandwidth: processRate})
	args := []string{"up", "--to", "@media", "--transfers", "1"}
	var paths []string
	for i := range 5 {
		paths = append(paths, s.noise("f"+strconv.Itoa(i), 3<<20+i))
	}
	p := s.start(append(args, paths...)...)
	p.until("two files were sent", func(event string, _ []byte) bool { return event == "file_done" })
	p.until("two files were sent", func(event string, _ []byte) bool { return event == "file_done" })
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if code := p.wait(); code != -1 {
		t.Fatalf("exit code %d before it was killed: %s", code, p.stderr.String())
	}
	kept := paths[0] + ".kept"
	if err := os.Rename(paths[0], kept); err != nil { // sent first: one file at a time, as listed
		t.Fatal(err)
	}
	s.run(0, "resume")
	if err := os.Rename(kept, paths[0]); err != nil {
		t.Fatal(err)
	}
	s.checkSent(paths...)
}

// TestSecondProcess: whoever comes second to a store is told at once who has
// it (faults 44).
func TestSecondProcess(t *testing.T) {
	t.Parallel()
	s := newStage(t, dctest.Config{DCBandwidth: processRate})
	p := s.start(directions[0].args(s)...)
	p.moved(1)
	for _, args := range [][]string{{"dl", "https://t.me/media/1"}, {"jobs"}, {"resume"}} {
		begin := time.Now()
		_, stderr := s.run(exitLocked, args...)
		t.Logf("%v took %v", args, time.Since(begin))
		if took := time.Since(begin); took > slack*time.Second {
			t.Errorf("%v took %v, want at most 1 s", args, took)
		}
		if want := fmt.Sprintf("process %d", p.cmd.Process.Pid); !strings.Contains(stderr, want) {
			t.Errorf("%v says %q, want %q in it", args, stderr, want)
		}
	}
	if code := p.wait(); code != 0 {
		t.Errorf("the first process: exit code %d: %s", code, p.stderr.String())
	}
	directions[0].check(s)
}

// TestSecondInterrupt: a haul that cannot end, since nobody takes its events,
// ends at once when it is asked a second time, and the next run goes on.
func TestSecondInterrupt(t *testing.T) {
	t.Parallel()
	s := newStage(t, dctest.Config{Channels: []dctest.ChannelConfig{{
		Username: "media", Files: []dctest.FileSpec{{Kind: "document", Count: 600, MinSize: 1000}},
	}}})
	cmd := s.command("archive", "@media", "-d", "out")
	stdout, err := cmd.StdoutPipe() // 64 KiB: far less than 600 files have to tell
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	var waiter sync.WaitGroup
	defer waiter.Wait()
	waiter.Go(func() {
		_, _ = cmd.Process.Wait() // not cmd.Wait, which closes the pipe
		close(ended)
	})
	defer cmd.Process.Kill() //nolint:errcheck // it has ended, unless the test fails
	waitFor(t, func() bool { // files were archived, and then no more
		before := countFiles(s)
		time.Sleep(300 * time.Millisecond)
		return before > 20 && before == countFiles(s)
	})
	for _, want := range []bool{false, true} {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		limit := 700 * time.Millisecond
		if want {
			limit *= slack
		}
		select {
		case <-ended:
			if !want {
				t.Fatal("it ended at the first interrupt: nothing was in its way")
			}
		case <-time.After(limit):
			if want {
				t.Fatal("it did not end at the second interrupt")
			}
		}
	}
	_, _ = io.Copy(io.Discard, stdout)
	_ = cmd.Wait() // it has ended
	s.run(0, "resume")
	if out, _ := s.run(0, "verify", "out"); !strings.Contains(out, `"files_right":600,"files_wrong":0`) {
		t.Errorf("verify: %s", out[max(0, len(out)-300):])
	}
}

func countFiles(s *stage) int {
	names, _ := filepath.Glob(filepath.Join(s.dir, "out", "media", "*"))
	return len(names)
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not come to that")
		}
	}
}

// TestLongWait: a wait that exceeds --max-wait leaves a job that says so. Going
// on too early ends in the same way at once.
func TestLongWait(t *testing.T) {
	t.Parallel()
	s := newStage(t, dctest.Config{Faults: []dctest.Fault{{Kind: "flood_wait", At: []int64{3}, Seconds: 3600}}})
	s.run(exitLongWait, append(directions[0].args(s), "--max-wait", "1m")...)
	s.jobState(jobWaiting)
	begin := time.Now()
	if _, stderr := s.run(exitLongWait, "resume"); !strings.Contains(stderr, "longer than allowed") || time.Since(begin) > slack*5*time.Second {
		t.Errorf("resume says %q after %v; want at once that the wait is too long", stderr, time.Since(begin))
	}
	s.jobState(jobWaiting)
}

// TestKilledRepair: a repair that is killed leaves the damaged file as it was,
// and the next one goes on.
func TestKilledRepair(t *testing.T) {
	t.Parallel()
	s := newStage(t, dctest.Config{DCBandwidth: processRate})
	s.run(0, "archive", "@media", "-d", "out")
	names, _ := filepath.Glob(filepath.Join(s.dir, "out", "media", "1_*"))
	if len(names) != 1 {
		t.Fatalf("%v in the archive, want one file", names)
	}
	b, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	clear(b[2<<20 : 18<<20])
	if err := os.WriteFile(names[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	before := directions[0].moved(s)
	p := s.start("verify", "out", "--repair")
	p.moved(5 << 20)
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.wait()
	if now, err := os.ReadFile(names[0]); err != nil || !bytes.Equal(now, b) {
		t.Fatalf("the damaged file was touched: %v", err)
	}
	s.run(exitSomeFailed, "verify", "out")
	s.run(0, "verify", "out", "--repair")
	if sum, err := fileSum(names[0]); err != nil || sum != s.cluster.Files()[0].SHA256 {
		t.Errorf("SHA-256 %s, %v; want %s", sum, err, s.cluster.Files()[0].SHA256)
	}
	out, _ := s.run(0, "verify", "out")
	if strings.Contains(out, "file_extra") {
		t.Errorf("something is left over: %s", out)
	}
	if moved := directions[0].moved(s) - before; moved < 16<<20 || moved > 32<<20 {
		t.Errorf("%d bytes moved for 16 MiB of damage", moved)
	}
}

// TestSimMTProxy: a cluster in a process of its own is reached through the
// MTProxy that it has printed the link of.
func TestSimMTProxy(t *testing.T) {
	s := &stage{t: t, dir: t.TempDir()}
	sim := s.start("sim", "--mtproxy", "ee000102030405060708090a0b0c0d0e0f7777772e6578616d706c652e636f6d", "--datacenters-out", "dc.json")
	defer func() {
		_ = sim.cmd.Process.Signal(os.Interrupt) // it may have ended by itself
		if code := sim.wait(); code != 0 {
			t.Errorf("the cluster ended with %d: %s", code, sim.stderr.String())
		}
	}()
	link := <-sim.lines
	if !strings.HasPrefix(link, "tg://proxy?server=127.0.0.1&port=") {
		t.Fatalf("it printed %q, want the link of a proxy", link)
	}
	s.run(0, "--proxy", link, "login", "-T", "bot", "--token", dctest.BotToken)
	s.run(0, "--proxy", link, "ls", "@"+dctest.BigChannel, "--limit", "1")
	s.run(1, "--proxy", link+"6f", "ls", "@"+dctest.BigChannel)
}
