package soak

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"github.com/tghaul/haul/bench/internal/rig"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/transfer"
)

const (
	batch   = 60       // messages that are fetched together
	upFiles = 3        // sources that wait at a time
	upSize  = 20 << 20 // the largest source
)

// downloads is the lane of what is fetched.
type downloads struct {
	*era
	root *os.Root

	mu      sync.Mutex
	pending map[int]bool              // messages whose file is not verified
	sums    map[int64]map[string]bool // hashes of what was on disk, by document
}

func newDownloads(e *era) (*downloads, error) {
	dir := filepath.Join(e.dir, "down")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	return &downloads{era: e, root: root, pending: make(map[int]bool), sums: make(map[int64]map[string]bool)}, err
}

// more chooses the next messages, unless some are left.
func (d *downloads) more() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.pending) > 0 {
		return
	}
	for range batch {
		d.pending[1+d.random.IntN(messages)] = true
	}
}

func (d *downloads) left() (ids []int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id := range d.pending {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func (d *downloads) transfer(ctx context.Context, l *leg) error {
	ids := d.left()
	if len(ids) == 0 {
		return nil
	}
	listed := make(map[int]bool)
	report, err := l.engine().Download(ctx, func(yield func(transfer.Download, error) bool) {
		for m, err := range l.client.Messages(ctx, l.peer, telegram.MessagesOptions{IDs: ids}) {
			if err != nil {
				yield(transfer.Download{}, err)
				return
			}
			listed[m.ID] = true
			for _, f := range m.Files {
				if !yield(d.download(f), nil) {
					return
				}
			}
		}
	})
	d.mu.Lock()
	defer d.mu.Unlock()
	d.total.reported(report, &d.total.Down)
	for _, f := range report.Failed {
		delete(d.pending, f.Origin.MessageID)
		d.fault(&d.total.Lost, "download of message %d, %d bytes: %v", f.Origin.MessageID, f.Size, f.Err)
	}
	if err == nil && len(d.pending) > 0 {
		d.fault(&d.total.Lost, "%d messages were not fetched, and nobody says why (%d of %d listed)", len(d.pending), len(listed), len(ids))
		clear(d.pending)
	}
	return err
}

func (d *downloads) download(f telegram.File) transfer.Download {
	return transfer.Download{
		File: f, Dir: d.root, Path: strconv.Itoa(f.Origin.MessageID) + "_" + transfer.SafeName(f.Name),
		Finished: func(res transfer.FileResult) error { return d.finished(f, res) },
	}
}

// finished looks at the file on disk and deletes it.
func (d *downloads) finished(f telegram.File, res transfer.FileResult) error {
	file, err := d.root.Open(res.Path)
	if err != nil {
		return err
	}
	h := sha256.New()
	n, err := io.Copy(h, file)
	if err := errors.Join(err, file.Close(), d.root.Remove(res.Path)); err != nil {
		return err
	}
	sum := hex.EncodeToString(h.Sum(nil))
	d.mu.Lock()
	defer d.mu.Unlock()
	if sum != hex.EncodeToString(res.SHA256[:]) || n != f.Size {
		d.fault(&d.total.Mismatches, "%s: %d bytes with SHA-256 %s on disk, %d with %x reported", res.Path, n, sum, f.Size, res.SHA256)
	}
	if !d.pending[f.Origin.MessageID] {
		d.fault(&d.total.Doubled, "message %d was fetched twice", f.Origin.MessageID)
	}
	delete(d.pending, f.Origin.MessageID)
	if d.sums[f.ID] == nil {
		d.sums[f.ID] = make(map[string]bool)
	}
	d.sums[f.ID][sum] = true
	d.total.add(func() { d.total.Files++ })
	return nil
}

func (d *downloads) compare(s *dctest.Stats) {
	none := sha256.Sum256(nil)
	for id, sums := range d.sums {
		want := s.Files[strconv.FormatInt(id, 10)].SHA256
		if want == "" {
			want = hex.EncodeToString(none[:]) // of an empty file nothing is asked for
		}
		if len(sums) != 1 || !sums[want] {
			d.fault(&d.total.Mismatches, "document %d had SHA-256 %v, the cluster says %s", id, sums, want)
		}
	}
}

// uploads is the lane of what is sent.
type uploads struct {
	*era
	dir string
	n   int // sources made

	mu      sync.Mutex
	pending map[string]string // SHA-256 by name
	sent    map[string]string
}

func newUploads(e *era) (*uploads, error) {
	u := &uploads{era: e, dir: filepath.Join(e.dir, "up"), pending: make(map[string]string), sent: make(map[string]string)}
	return u, os.Mkdir(u.dir, 0o700)
}

// more makes sources, unless enough are left.
func (u *uploads) more() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	for len(u.pending) < upFiles {
		u.n++
		name := fmt.Sprintf("up-%d", u.n)
		size := 1 + u.random.Int64N(upSize)
		if u.random.IntN(2) == 0 {
			size = 1 + u.random.Int64N(1<<20)
		}
		path := filepath.Join(u.dir, name)
		if err := rig.Noise(path, size, u.random.Uint64()); err != nil {
			return err
		}
		sum, err := rig.SHA256(path)
		if err != nil {
			return err
		}
		u.pending[name] = sum
	}
	return nil
}

func (u *uploads) transfer(ctx context.Context, l *leg) error {
	u.mu.Lock()
	var names []string
	for name := range u.pending {
		names = append(names, name)
	}
	u.mu.Unlock()
	slices.Sort(names)
	report, err := l.engine().Upload(ctx, func(yield func(transfer.Upload, error) bool) {
		for _, name := range names {
			up := transfer.Upload{
				Path: filepath.Join(u.dir, name), To: l.peer,
				Finished: func(transfer.FileResult) error { return u.finished(name) },
			}
			if !yield(up, nil) {
				return
			}
		}
	})
	u.mu.Lock()
	defer u.mu.Unlock()
	u.total.reported(report, &u.total.Up)
	for _, f := range report.Failed {
		delete(u.pending, filepath.Base(f.Path))
		u.fault(&u.total.Lost, "upload of %s, %d bytes: %v", f.Path, f.Size, f.Err)
	}
	if err == nil && len(report.Failed) == 0 && len(u.pending) > 0 {
		u.fault(&u.total.Lost, "%d files were not sent, and nobody says why", len(u.pending))
		clear(u.pending)
	}
	return err
}

func (u *uploads) finished(name string) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, again := u.sent[name]; again {
		u.fault(&u.total.Doubled, "%s was sent twice, as its engine says", name)
	}
	u.sent[name] = u.pending[name]
	delete(u.pending, name)
	u.total.add(func() { u.total.Sent++ })
	return os.Remove(filepath.Join(u.dir, name))
}

// compare wants exactly one message for each source.
func (u *uploads) compare(s *dctest.Stats) {
	got := make(map[string][]string)
	for _, m := range s.Sent {
		got[m.Name] = append(got[m.Name], m.SHA256)
	}
	for name, sum := range u.sent {
		switch sums := got[name]; {
		case len(sums) == 0:
			u.fault(&u.total.Lost, "%s was sent, the cluster knows nothing of it", name)
		case len(sums) > 1:
			u.fault(&u.total.Doubled, "%s was sent %d times", name, len(sums))
		case sums[0] != sum:
			u.fault(&u.total.Mismatches, "%s has SHA-256 %s at the cluster, want %s", name, sums[0], sum)
		}
		delete(got, name)
	}
	for name := range got {
		u.fault(&u.total.Doubled, "%s is at the cluster, and no engine has said so", name)
	}
}
