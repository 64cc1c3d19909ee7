// Command loopback measures what a transfer costs haul: one large file down
// and one up over loopback, the simulated cluster in a process of its own. It
// prints JSON, with MiB/s and the client's CPU seconds per GiB.
//
//	go run ./bench/loopback
//
// Figures of machines differ, and of the same machine when it does other
// things; compare two of one run.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"
)

const (
	downMiB = 1024
	upMiB   = 512
	runs    = 3
)

// A result is one line of the output.
type result struct {
	What      string  `json:"what"`
	MiB       int     `json:"mib"`
	MiBPerSec float64 `json:"mib_per_s"`
	CPUPerGiB float64 `json:"client_cpu_s_per_gib"`
	MaxRSSMiB float64 `json:"max_rss_mib"`
	Go        string  `json:"go"`
	CPUs      int     `json:"cpus"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "loopback:", err)
		os.Exit(1)
	}
}

func run() (err error) {
	dir, err := os.MkdirTemp("", "haul-bench-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b := &bench{dir: dir, haul: filepath.Join(dir, "haul")}
	if err := command(os.Stderr, "go", "build", "-o", b.haul, "./cmd/haul").Run(); err != nil {
		return err
	}
	stop, err := b.cluster()
	if err != nil {
		return err
	}
	defer stop()
	if err := b.client("login", "-T", "bot", "--token", "1:sim").Run(); err != nil {
		return err
	}
	source := filepath.Join(dir, "source")
	if err := noise(source, upMiB<<20); err != nil {
		return err
	}
	for range runs {
		// The store is new each time, so that nothing is there already.
		if err := b.measure("download", downMiB, "dl", "https://t.me/bench/1", "-d", filepath.Join(dir, "out")); err != nil {
			return err
		}
		if err := os.RemoveAll(filepath.Join(dir, "out")); err != nil {
			return err
		}
		if err := b.measure("upload", upMiB, "up", source, "--to", "@bench"); err != nil {
			return err
		}
	}
	return nil
}

type bench struct{ dir, haul string }

func command(out io.Writer, name string, args ...string) *exec.Cmd {
	c := exec.Command(name, args...)
	c.Stdout, c.Stderr = out, os.Stderr
	return c
}

// cluster starts haul sim with one file of 1 GiB and waits until it listens.
func (b *bench) cluster() (stop func(), err error) {
	scenario := filepath.Join(b.dir, "scenario.json")
	text := fmt.Sprintf(`{"channels": [{"username": "bench", "title": "Bench",
		"files": [{"kind": "document", "count": 1, "min_size": %d, "max_size": %d}]}]}`, downMiB<<20, downMiB<<20)
	if err := os.WriteFile(scenario, []byte(text), 0o600); err != nil {
		return nil, err
	}
	sim := command(os.Stderr, b.haul, "--quiet", "sim", "--scenario", scenario, "--datacenters-out", filepath.Join(b.dir, "dc.json"))
	if err := sim.Start(); err != nil {
		return nil, err
	}
	stop = func() {
		_ = sim.Process.Signal(os.Interrupt)
		_ = sim.Wait()
	}
	for range 100 {
		if _, err := os.Stat(filepath.Join(b.dir, "dc.json")); err == nil {
			return stop, nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	stop()
	return nil, errors.New("the cluster does not start")
}

func (b *bench) client(args ...string) *exec.Cmd {
	args = append([]string{"--quiet", "--datacenters", filepath.Join(b.dir, "dc.json"), "--store", filepath.Join(b.dir, "store")}, args...)
	return command(io.Discard, b.haul, args...)
}

func (b *bench) measure(what string, mib int, args ...string) error {
	c := b.client(args...)
	start := time.Now()
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	seconds := time.Since(start).Seconds()
	cpu := (c.ProcessState.UserTime() + c.ProcessState.SystemTime()).Seconds()
	return json.NewEncoder(os.Stdout).Encode(result{
		What: what, MiB: mib, MiBPerSec: round(float64(mib) / seconds), CPUPerGiB: round(cpu / float64(mib) * 1024),
		MaxRSSMiB: round(maxRSS(c.ProcessState)), Go: runtime.Version(), CPUs: runtime.NumCPU(),
	})
}

func round(v float64) float64 { return float64(int(v*100+0.5)) / 100 }

// noise writes a file that does not compress.
func noise(path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.CopyN(f, rand.NewChaCha8([32]byte{1}), size)
	return errors.Join(err, f.Close())
}
