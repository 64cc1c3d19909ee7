package rig

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"time"

	"github.com/tghaul/haul/telegram/dctest"
)

const (
	startTime = time.Minute // for a cluster to listen, on a busy machine
	statsTime = 5 * time.Minute
	pollPause = 5 * time.Millisecond
	stopTime  = 30 * time.Second
)

// A Cluster is a haul sim in a process of its own.
type Cluster struct {
	rig    *Rig
	cmd    *exec.Cmd
	dcFile string
	stats  string
	log    bytes.Buffer // what it says; read it only after exited is closed
	exited chan struct{}
}

// Start starts a cluster that serves the scenario, and waits until it listens.
func (r *Rig) Start(scenario dctest.Config) (*Cluster, error) {
	dir, err := os.MkdirTemp(r.dir, "cluster-*")
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(scenario)
	if err != nil {
		return nil, err
	}
	c := &Cluster{rig: r, dcFile: dir + "/dc.json", stats: dir + "/stats.json", exited: make(chan struct{})}
	if err := os.WriteFile(dir+"/scenario.json", text, 0o600); err != nil {
		return nil, err
	}
	c.cmd = exec.Command(r.haul, "--quiet", "sim", "--scenario", dir+"/scenario.json",
		"--datacenters-out", c.dcFile, "--stats-out", c.stats)
	c.cmd.Stderr = &c.log
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	r.running.Go(func() {
		_ = c.cmd.Wait() // how it ends is Stop's business
		close(c.exited)
	})
	if err := c.waitFor(c.dcFile, startTime); err != nil {
		return nil, errors.Join(fmt.Errorf("the cluster does not start: %w", err), c.Stop())
	}
	r.mu.Lock()
	r.clusters = append(r.clusters, c)
	r.mu.Unlock()
	return c, nil
}

// waitFor waits until the cluster has written a file.
func (c *Cluster) waitFor(path string, limit time.Duration) error {
	for end := time.Now().Add(limit); ; time.Sleep(pollPause) {
		if _, err := os.Stat(path); err == nil {
			return nil
		}
		select {
		case <-c.exited:
			return fmt.Errorf("it has ended: %s", c.log.Bytes())
		default:
		}
		if time.Now().After(end) {
			return fmt.Errorf("no %s within %v", path, limit)
		}
	}
}

// PID is the process of the cluster.
func (c *Cluster) PID() int { return c.cmd.Process.Pid }

// Datacenters is the path of the file that tells clients of the cluster.
func (c *Cluster) Datacenters() string { return c.dcFile }

// Stats asks the cluster for its counters.
func (c *Cluster) Stats() (*dctest.Stats, error) {
	if err := os.Remove(c.stats); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := askStats(c.cmd.Process); err != nil {
		return nil, err
	}
	if err := c.waitFor(c.stats, statsTime); err != nil {
		return nil, err
	}
	b, err := os.ReadFile(c.stats)
	if err != nil {
		return nil, err
	}
	s := new(dctest.Stats)
	return s, json.Unmarshal(b, s)
}

// Stop ends the cluster and waits for it. It may be called more than once.
func (c *Cluster) Stop() error {
	select {
	case <-c.exited:
		return nil
	default:
	}
	_ = c.cmd.Process.Signal(os.Interrupt) // it may have ended by itself
	timer := time.NewTimer(stopTime)
	defer timer.Stop()
	select {
	case <-c.exited:
	case <-timer.C:
		_ = c.cmd.Process.Kill()
		<-c.exited
		return fmt.Errorf("the cluster did not end within %v of an interrupt: %s", stopTime, c.log.Bytes())
	}
	return nil
}
