package rig

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/transfer"
)

// A Client is a haul with a store of its own, signed in at a cluster.
type Client struct {
	cluster *Cluster
	Store   string
	Flags   []string // more global flags for each command
}

// Login signs a new client in as the cluster's bot.
func (c *Cluster) Login() (*Client, error) {
	cl := &Client{cluster: c, Store: c.rig.newStore()}
	r, err := cl.Run("login", "-T", "bot", "--token", dctest.BotToken)
	if err == nil && r.Exit != 0 {
		err = r.Failure("login")
	}
	return cl, err
}

// LoginUser signs a new client in as the cluster's user, who may list histories.
func (c *Cluster) LoginUser() (*Client, error) {
	cl := &Client{cluster: c, Store: c.rig.newStore()}
	r, err := cl.Run("login", "--phone", dctest.Phone, "--code", dctest.Code)
	if err == nil && r.Exit != 0 {
		err = r.Failure("login")
	}
	return cl, err
}

// A Process is a client's command under way.
type Process struct {
	cmd    *exec.Cmd
	begun  time.Time
	stderr bytes.Buffer
	read   sync.WaitGroup
	result Result
	broken error // of the reader of events
	// Started gets a token when a file has started, and is closed at the end.
	Started chan struct{}
	events  chan string // names of events that Await waits for; what finds no room is lost
}

// A Result is what a command has done.
type Result struct {
	Exit    int           // its exit code; -1 if it was killed
	Elapsed time.Duration // from start to end of the process
	CPU     time.Duration // of user and system
	MaxRSS  float64       // the largest resident size in MiB
	Stderr  string
	Begun   time.Time

	WouldFetch int // files that a dry run told of
	Started    []transfer.FileStarted
	Done       []transfer.FileDone
	Failed     []transfer.FileFailed
	Last       transfer.Progress // the last of them
	Listed     time.Duration     // from start until all files were listed, 0 if they never were
	Run        *transfer.RunDone // nil if the command was cut short
	Steps      []Step            // of haul bench
}

// A Step is a transfer that haul bench has measured.
type Step struct {
	Bytes     int64   `json:"bytes"`
	Seconds   float64 `json:"seconds"`
	CPUPerGiB float64 `json:"cpu_seconds_per_gib"`
}

// Failure is an error that says how a command ended.
func (r *Result) Failure(what string) error {
	return fmt.Errorf("%s: exit code %d: %s%s", what, r.Exit, r.Stderr, r.failures())
}

func (r *Result) failures() string {
	var b bytes.Buffer
	for i, f := range r.Failed {
		if i == 5 {
			fmt.Fprintf(&b, "\n... and %d more", len(r.Failed)-i)
			break
		}
		fmt.Fprintf(&b, "\n%s: %s", f.Path, f.Error)
	}
	return b.String()
}

// Go starts a command with --json and follows its events.
func (c *Client) Go(args ...string) (*Process, error) {
	all := append([]string{"--json", "--datacenters", c.cluster.dcFile, "--store", c.Store}, c.Flags...)
	p := &Process{Started: make(chan struct{}, 1), events: make(chan string, 16)}
	p.cmd = exec.Command(c.cluster.rig.haul, append(all, args...)...)
	p.cmd.Stderr = &p.stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.begun = time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	p.read.Go(func() {
		defer close(p.Started)
		p.broken = p.follow(out)
	})
	return p, nil
}

// Run runs a command to its end.
func (c *Client) Run(args ...string) (*Result, error) {
	p, err := c.Go(args...)
	if err != nil {
		return nil, err
	}
	return p.Wait()
}

// PID is the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Await waits for an event of a watch, and reports whether it came in time.
func (p *Process) Await(event string, limit time.Duration) bool {
	for t := time.After(limit); ; {
		select {
		case name := <-p.events:
			if name == event {
				return true
			}
		case <-t:
			return false
		}
	}
}

// Kill ends it as kill -9 does.
func (p *Process) Kill() { _ = p.cmd.Process.Kill() } // it may have ended by itself

// Interrupt asks it to end, as ^C does.
func (p *Process) Interrupt() { _ = p.cmd.Process.Signal(os.Interrupt) } // it may have ended by itself

// Wait waits for the end. That a command has failed is in the result.
func (p *Process) Wait() (*Result, error) {
	p.read.Wait()
	err := p.cmd.Wait()
	p.result.Elapsed = time.Since(p.begun)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return nil, err
	}
	s := p.cmd.ProcessState
	p.result.Exit, p.result.CPU, p.result.MaxRSS = s.ExitCode(), s.UserTime()+s.SystemTime(), maxRSS(s)
	p.result.Stderr, p.result.Begun = p.stderr.String(), p.begun
	killed := false
	if w, ok := s.Sys().(syscall.WaitStatus); ok {
		killed = w.Signaled()
	}
	if p.broken != nil && !killed { // the last line of a killed one may be half of one
		return nil, p.broken
	}
	return &p.result, nil
}

// follow reads the events. What follows one that cannot be read is skipped.
func (p *Process) follow(out io.Reader) error {
	defer func() { _, _ = io.Copy(io.Discard, out) }()
	lines := json.NewDecoder(out)
	for {
		var line json.RawMessage
		if err := lines.Decode(&line); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("events: %w", err)
		}
		var head transfer.Header
		if err := json.Unmarshal(line, &head); err != nil {
			return fmt.Errorf("events: %w", err)
		}
		if err := p.event(head.Event, line); err != nil {
			return fmt.Errorf("events: %s: %w", head.Event, err)
		}
	}
}

func (p *Process) event(name string, line []byte) error {
	r := &p.result
	switch name {
	case "file_started":
		select {
		case p.Started <- struct{}{}:
		default:
		}
		return add(&r.Started, line)
	case "file_done":
		return add(&r.Done, line)
	case "would_fetch":
		r.WouldFetch++
	case "watching", "chat_changed":
		select {
		case p.events <- name:
		default:
		}
	case "file_failed":
		return add(&r.Failed, line)
	case "bench_step":
		return add(&r.Steps, line)
	case "progress":
		err := json.Unmarshal(line, &r.Last)
		if r.Last.ListComplete && r.Listed == 0 {
			r.Listed = time.Since(p.begun)
		}
		return err
	case "run_done":
		r.Run = new(transfer.RunDone)
		return json.Unmarshal(line, r.Run)
	}
	return nil
}

func add[T any](list *[]T, line []byte) error {
	var v T
	err := json.Unmarshal(line, &v)
	*list = append(*list, v)
	return err
}
