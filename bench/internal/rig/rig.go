// Package rig runs the real program for the workloads of bench: it builds haul
// once, starts simulated clusters in processes of their own, runs clients
// against them, kills some, and reads what both sides say about it.
//
// Every process that a rig has started is gone when its Close returns.
package rig

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

// A Rig is a folder with the program in it, and the processes started from it.
// Its methods may be called concurrently.
type Rig struct {
	dir  string
	haul string

	running sync.WaitGroup // what waits for processes

	mu       sync.Mutex
	clusters []*Cluster
	stores   int
	occupied int64 // bytes, see Occupy
}

// New builds haul into a temporary folder. The working directory must be in
// the module. Build flags such as "-race" may follow.
func New(flags ...string) (*Rig, error) {
	dir, err := os.MkdirTemp("", "haul-bench-*")
	if err != nil {
		return nil, err
	}
	r := &Rig{dir: dir, haul: filepath.Join(dir, "haul")}
	build := exec.Command("go", append(append([]string{"build"}, flags...), "-o", r.haul, "github.com/tghaul/haul/cmd/haul")...)
	if out, err := build.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("build haul: %w\n%s", err, out), os.RemoveAll(dir))
	}
	return r, nil
}

// Path is a path in the rig's folder.
func (r *Rig) Path(elem ...string) string {
	return filepath.Join(append([]string{r.dir}, elem...)...)
}

// Close stops what still runs and removes the folder.
func (r *Rig) Close() error {
	r.mu.Lock()
	clusters := r.clusters
	r.clusters = nil
	r.mu.Unlock()
	var failed []error
	for _, c := range clusters {
		failed = append(failed, c.Stop())
	}
	r.running.Wait()
	return errors.Join(append(failed, os.RemoveAll(r.dir))...)
}

// newStore is the path of a store that no client has used.
func (r *Rig) newStore() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stores++
	return r.Path(fmt.Sprintf("store-%d", r.stores))
}

// Noise writes a file that does not compress; equal seeds make equal files.
func Noise(path string, size int64, seed uint64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	_, err = io.CopyN(f, rand.NewChaCha8(key), size)
	return errors.Join(err, f.Close())
}

// SHA256 is the hash of a file, in hexadecimal.
func SHA256(path string) (sum string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), err
}
