package versus

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/tghaul/haul/bench/internal/rig"
	"github.com/tghaul/haul/telegram/dctest"
)

// A Plan says how much is measured. Sizes are in MiB.
type Plan struct {
	Runs   int   // alternating runs of each client
	MiB    int64 // of the file of most phases
	FarMiB int64 // of the file over lines with delay
	Files  int   // small files
	Skip   []string
	Peers  string    // the folder bench/peers
	Log    io.Writer // gets a line for each run
}

const (
	connections = 8
	inFlight    = 16 // parts under way at once by a peer: two a connection
	downPart    = 1 << 20
	upPart      = 512 << 10
	startFile   = 64 << 10
)

// A run is the measuring under way.
type run struct {
	Plan
	rig    *rig.Rig
	data   Data
	gotd   *rig.Peer
	mtcute *rig.Peer // nil without node
}

// Measure runs all phases.
func Measure(r *rig.Rig, p Plan) (*Data, error) {
	m := &run{Plan: p, rig: r, data: Data{Date: today(), Commit: commit(), Machine: machine(), Load: load()}}
	var err error
	if m.gotd, err = r.Gotd(p.Peers); err != nil {
		return nil, err
	}
	if m.mtcute, err = r.Mtcute(p.Peers); err != nil {
		_, _ = fmt.Fprintf(p.Log, "without mtcute: %v\n", err)
	}
	for _, phase := range []struct {
		name string
		do   func() error
	}{{"cost", m.cost}, {"connections", m.byConnections}, {"rtt", m.byRTT}, {"files", m.small}, {"start", m.start}} {
		if strings.Contains(strings.Join(p.Skip, " "), phase.name) {
			continue
		}
		if err := phase.do(); err != nil {
			return &m.data, fmt.Errorf("%s: %w", phase.name, err)
		}
	}
	return &m.data, nil
}

func commit() string {
	b, _ := exec.Command("git", "rev-parse", "--short", "HEAD").Output() // without git there is none
	return strings.TrimSpace(string(b))
}

// machine is what kind this is: the same in every run on it.
func machine() string {
	model := runtime.GOARCH
	b, _ := os.ReadFile("/proc/cpuinfo") // elsewhere it is not told
	for line := range bytes.Lines(b) {
		if name, value, ok := strings.Cut(string(line), ":"); ok && strings.TrimSpace(name) == "model name" {
			model = strings.TrimSpace(value)
			break
		}
	}
	return fmt.Sprintf("%d CPUs (%s), %s, %s", runtime.NumCPU(), model, runtime.GOOS, runtime.Version())
}

func load() string {
	b, _ := os.ReadFile("/proc/loadavg")
	if f := strings.Fields(string(b)); len(f) > 3 {
		return strings.Join(f[:3], " ")
	}
	return ""
}

func (m *run) add(s Sample) {
	m.data.Samples = append(m.data.Samples, s)
	_, _ = fmt.Fprintf(m.Log, "%-11s %-15s %-8s conns=%-2d rtt=%-3d %7.0f MiB %5d files %7.3f s %6.2f CPU-s %4.0f MiB RSS\n",
		s.Phase, s.Client, s.Direction, s.Connections, s.RTT, s.MiB, s.Files, s.Seconds, s.CPU, s.RSS)
}

// A bench is a cluster with a client of haul's that is signed in, and a file to
// send.
type stand struct {
	*run
	cluster *rig.Cluster
	haul    *rig.Client
	mib     int64 // of the large file
	source  string
	target  string // where peers put the file
}

func (m *run) stand(scenario dctest.Config, mib int64) (s *stand, err error) {
	s = &stand{run: m, mib: mib, source: m.rig.Path("source"), target: m.rig.Path("target")}
	if s.cluster, err = m.rig.Start(scenario); err != nil {
		return nil, err
	}
	if s.haul, err = s.cluster.Login(); err != nil {
		return nil, err
	}
	if err := rig.Noise(s.source, mib<<20, 1); err != nil {
		return nil, err
	}
	for _, p := range []*rig.Peer{m.gotd, m.mtcute} { // it makes its keys now
		if p == nil {
			continue
		}
		first := rig.Task{Command: "download", Path: s.target, Channel: "small", Connections: 1, Threads: 1, Part: downPart}
		if _, err := p.Run(s.cluster, first); err != nil {
			return nil, err
		}
		if err := os.Remove(s.target); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *stand) close() error { return s.cluster.Stop() }

// large is a scenario with a large file in @bench, and a small one in @small.
func large(mib int64) dctest.Config {
	return dctest.Config{Channels: []dctest.ChannelConfig{channel("bench", 1, mib<<20, mib<<20), channel("small", 1, startFile, startFile)}}
}

func channel(name string, files int, least, most int64) dctest.ChannelConfig {
	return dctest.ChannelConfig{Username: name, Title: name, Files: []dctest.FileSpec{{Kind: "document", Count: files, MinSize: least, MaxSize: most}}}
}

// download fetches the file of a channel by haul.
func (s *stand) download(like Sample, channel string, flags ...string) error {
	out, err := os.MkdirTemp(s.rig.Path(), "out-*")
	if err != nil {
		return err
	}
	if err := s.rig.Occupy(s.mib); err != nil {
		return err
	}
	res, err := s.haul.Run(append([]string{"dl", "https://t.me/" + channel + "/1", "-d", out}, flags...)...)
	return s.took(like, res, errors.Join(err, os.RemoveAll(out)))
}

func (s *stand) upload(like Sample, flags ...string) error {
	res, err := s.haul.Run(append([]string{"up", s.source, "--to", "@bench"}, flags...)...)
	return s.took(like, res, err)
}

// unhashed has haul move the file without its SHA-256, which only its bench does.
func (s *stand) unhashed(like Sample, direction string) error {
	if err := s.rig.Occupy(s.mib); err != nil {
		return err
	}
	res, err := s.haul.Run("bench", "https://t.me/bench/1", "--to", "@bench", "--direction", direction, "--no-hash", "--yes",
		"--size", strconv.FormatInt(s.mib<<20, 10), "--try", strconv.Itoa(connections), "--parts", "1M")
	if err != nil {
		return err
	}
	if res.Exit != 0 || len(res.Steps) != 1 {
		return res.Failure("haul bench")
	}
	step := res.Steps[0]
	like.Client, like.MiB, like.Files, like.Seconds = noHash, float64(step.Bytes)/(1<<20), 1, step.Seconds
	like.Elapsed, like.CPU, like.RSS = res.Elapsed.Seconds(), res.CPU.Seconds(), res.MaxRSS
	if direction == "up" { // it has made the file, too
		like.CPU = step.CPUPerGiB * like.MiB / 1024
	}
	s.add(like)
	return nil
}

func (s *stand) took(like Sample, res *rig.Result, err error) error {
	if err != nil {
		return err
	}
	if res.Exit != 0 || res.Run == nil || res.Run.FilesDone == 0 {
		return res.Failure("haul " + like.Direction)
	}
	like.Client = "haul"
	s.add(ours(like, res))
	return nil
}

// peer has a peer do the same.
func (s *stand) peer(p *rig.Peer, like Sample, t rig.Task) error {
	if p == nil {
		return nil
	}
	if like.Client == "" {
		like.Client = p.Name
	}
	t.Command = like.Direction
	if t.Channel == "" {
		t.Channel = "bench"
	}
	if t.Path = s.target; t.Command == "upload" {
		t.Path = s.source
	}
	if t.Command == "download" {
		if err := s.rig.Occupy(s.mib); err != nil {
			return err
		}
		defer os.Remove(s.target) //nolint:errcheck // if it stays, the next run says so
	}
	m, err := p.Run(s.cluster, t)
	if err != nil {
		return err
	}
	s.add(theirs(like, m))
	return nil
}

// Clients that are measured in other ways too.
const (
	noHash    = "haul, no SHA-256"
	plainGotd = "gotd, plain"
	hashGotd  = "gotd, then SHA-256"
)

// cost is what a byte costs: CPU and memory, one large file each way.
func (m *run) cost() error {
	s, err := m.stand(large(m.MiB), m.MiB)
	if err != nil {
		return err
	}
	down := Sample{Phase: "cost", Direction: "download", Connections: connections}
	up := Sample{Phase: "cost", Direction: "upload", Connections: connections}
	plain := up
	plain.Client = plainGotd
	hashDown, hashUp := down, up
	hashDown.Client, hashUp.Client = hashGotd, hashGotd
	task := rig.Task{Connections: connections, Threads: inFlight, Part: downPart}
	upTask := task
	upTask.Part = upPart
	plainTask := upTask
	plainTask.Plain = true
	hashTask, hashUpTask := task, upTask
	hashTask.Hash, hashUpTask.Hash = true, true
	conns := strconv.Itoa(connections)
	for range m.Runs {
		err := errors.Join(
			s.download(down, "bench", "-t", conns), s.unhashed(down, "down"),
			s.peer(m.gotd, down, task), s.peer(m.gotd, hashDown, hashTask), s.peer(m.mtcute, down, task),
			s.upload(up, "-t", conns), s.unhashed(up, "up"),
			s.peer(m.gotd, up, upTask), s.peer(m.gotd, plain, plainTask), s.peer(m.gotd, hashUp, hashUpTask), s.peer(m.mtcute, up, upTask),
		)
		if err != nil {
			return err
		}
	}
	return s.close()
}

// byConnections is how fast a file comes by so many connections.
func (m *run) byConnections() error {
	s, err := m.stand(large(m.MiB), m.MiB)
	if err != nil {
		return err
	}
	for range m.Runs {
		for _, n := range []int{1, 2, 4, 8, 16} {
			like := Sample{Phase: "connections", Direction: "download", Connections: n}
			task := rig.Task{Connections: n, Threads: 2 * n, Part: downPart}
			err := errors.Join(s.download(like, "bench", "-t", strconv.Itoa(n)), s.peer(m.gotd, like, task))
			if err != nil {
				return err
			}
		}
	}
	return s.close()
}

// tdl's policy: parts of 1 MiB, four of them under way for a file.
const (
	tdl        = "tdl's policy"
	tdlThreads = 4
)

// byRTT is how fast a file comes over a line with delay and nothing else that
// limits it. haul has its default settings, gotd tdl's or 16 parts under way.
func (m *run) byRTT() error {
	for _, ms := range []int{0, 20, 80, 200} {
		scenario := large(m.FarMiB)
		scenario.RTT = dctest.Duration(ms) * dctest.Duration(1e6)
		s, err := m.stand(scenario, m.FarMiB)
		if err != nil {
			return err
		}
		like := Sample{Phase: "rtt", Direction: "download", RTT: ms}
		policy := like
		policy.Client = tdl
		err = errors.Join(
			s.download(like, "bench"),
			s.peer(m.gotd, policy, rig.Task{Connections: connections, Threads: tdlThreads, Part: downPart}),
			s.peer(m.gotd, like, rig.Task{Connections: connections, Threads: inFlight, Part: downPart}),
			s.peer(m.mtcute, like, rig.Task{Connections: connections, Threads: inFlight, Part: downPart}),
			s.download(like, "bench"),
			s.close(),
		)
		if err != nil {
			return err
		}
	}
	return nil
}

// small is how many small files come in a second. What was fetched stays until the end:
// a file system that has just removed many files is slow to make others.
func (m *run) small() error {
	s, err := m.stand(dctest.Config{Channels: []dctest.ChannelConfig{
		channel("bench", m.Files, 4<<10, 64<<10), channel("small", 1, startFile, startFile),
	}}, 1)
	if err != nil {
		return err
	}
	// The cluster writes such files when they are asked for first.
	if _, err := m.gotd.Run(s.cluster, s.allFiles("first", 0)); err != nil {
		return err
	}
	like := Sample{Phase: "files", Direction: "download", Connections: connections}
	for i := range m.Runs {
		res, err := s.haul.Run("dl", "@bench", "-d", s.folder("haul", i), "-t", strconv.Itoa(connections))
		if err := s.took(like, res, err); err != nil {
			return err
		}
		for _, p := range []*rig.Peer{m.gotd, m.mtcute} {
			if err := s.files(p, like, i); err != nil {
				return err
			}
		}
	}
	return errors.Join(os.RemoveAll(s.rig.Path("small")), s.close())
}

// folder is where a client puts small files in the i-th run.
func (s *stand) folder(client string, i int) string {
	return filepath.Join(s.rig.Path("small"), client, strconv.Itoa(i))
}

// allFiles is the task to fetch them there.
func (s *stand) allFiles(client string, i int) rig.Task {
	return rig.Task{Command: "files", Channel: "bench", Path: s.folder(client, i), Connections: connections, Threads: inFlight, Part: downPart}
}

// files has a peer fetch all small files.
func (s *stand) files(p *rig.Peer, like Sample, i int) error {
	if p == nil {
		return nil
	}
	m, err := p.Run(s.cluster, s.allFiles(p.Name, i))
	if err != nil {
		return err
	}
	if m.Files != s.Files {
		return fmt.Errorf("%s has fetched %d files of %d", p.Name, m.Files, s.Files)
	}
	like.Client = p.Name
	s.add(theirs(like, m))
	return nil
}

// start is how long it takes to fetch one small file, from the start of the
// process to its end.
func (m *run) start() error {
	s, err := m.stand(large(1), 1)
	if err != nil {
		return err
	}
	like := Sample{Phase: "start", Direction: "download", Connections: connections}
	task := rig.Task{Channel: "small", Connections: connections, Threads: inFlight, Part: downPart}
	for range 2*m.Runs + 1 {
		err := errors.Join(s.download(like, "small"), s.peer(m.gotd, like, task), s.peer(m.mtcute, like, task))
		if err != nil {
			return err
		}
	}
	return s.close()
}
