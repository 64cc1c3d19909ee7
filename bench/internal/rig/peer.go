package rig

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A Peer is a client that others wrote, in bench/peers; doc.go there says how
// such a program is called.
type Peer struct {
	Name    string
	rig     *Rig
	command []string
}

// Gotd builds gotd/td's client. dir is the folder bench/peers.
func (r *Rig) Gotd(dir string) (*Peer, error) {
	program := r.Path("gotd")
	if err := inFolder(dir, "go", "build", "-o", program, "./gotd"); err != nil {
		return nil, err
	}
	return &Peer{Name: "gotd", rig: r, command: []string{program}}, nil
}

// Mtcute fetches mtcute, if it is not there, and checks that node is. No
// package's own scripts are run: nothing that is used here needs them.
func (r *Rig) Mtcute(dir string) (*Peer, error) {
	folder := filepath.Join(dir, "mtcute")
	if _, err := exec.LookPath("node"); err != nil {
		return nil, err
	}
	if err := inFolder(folder, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"); err != nil {
		return nil, err
	}
	return &Peer{Name: "mtcute", rig: r, command: []string{"node", filepath.Join(folder, "client.mjs")}}, nil
}

func inFolder(dir, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s in %s: %w\n%s", name, strings.Join(args, " "), dir, err, out)
	}
	return nil
}

// A Moved is what a client did in one process.
type Moved struct {
	Bytes   int64   `json:"bytes"`
	Files   int     `json:"files"`
	Seconds float64 `json:"seconds"` // of the transfer alone, as the client says
	// Of the whole process:
	Elapsed time.Duration `json:"-"`
	CPU     time.Duration `json:"-"` // of user and system
	MaxRSS  float64       `json:"-"` // in MiB
}

// A Task is what a peer is to do.
type Task struct {
	Command     string // download, upload or files
	Path        string
	Channel     string // whose message 1 is fetched; files: all of its messages
	Connections int
	Threads     int  // parts, or small files, at once
	Part        int  // bytes
	Plain       bool // gotd without its compression of what it sends
	Hash        bool // gotd, and then the SHA-256 of the file
}

// peerPatience is how long a client may take for one task: some have hung.
const peerPatience = 5 * time.Minute

// Run has the peer do something at a cluster, with the session of its last run there.
func (p *Peer) Run(c *Cluster, t Task) (*Moved, error) {
	args := append(p.command[1:len(p.command):len(p.command)], t.Command,
		"--datacenters", c.dcFile, "--session", filepath.Join(filepath.Dir(c.dcFile), p.Name+"-session"), "--path", t.Path,
		"--channel", t.Channel, "--connections", strconv.Itoa(t.Connections),
		"--threads", strconv.Itoa(t.Threads), "--part", strconv.Itoa(t.Part))
	if t.Plain {
		args = append(args, "--compress=false")
	}
	if t.Hash {
		args = append(args, "--hash")
	}
	ctx, cancel := context.WithTimeout(context.Background(), peerPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.command[0], args...)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	begun := time.Now()
	out, err := cmd.Output()
	m := &Moved{Elapsed: time.Since(begun)}
	if err == nil {
		err = json.Unmarshal(out, m)
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", p.Name, t.Command, errors.Join(err, errors.New(complaints.String())))
	}
	s := cmd.ProcessState
	m.CPU, m.MaxRSS = s.UserTime()+s.SystemTime(), maxRSS(s)
	return m, nil
}
