package checkpoint

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// Memory keeps records as a Store does, but only as long as it lives. It is
// for runs that are not to be resumed, and for tests. It is safe for
// concurrent use.
type Memory struct {
	mu        sync.Mutex
	downloads map[Key]Download
	done      map[Key]Done
	uploads   map[UploadKey]Upload
	waits     map[waitID]Wait
	limits    map[string]Limit // by key
}

type waitID struct {
	dc     int
	method string
}

// NewMemory returns a Memory without records.
func NewMemory() *Memory {
	return &Memory{
		downloads: make(map[Key]Download), done: make(map[Key]Done),
		uploads: make(map[UploadKey]Upload), waits: make(map[waitID]Wait), limits: make(map[string]Limit),
	}
}

// Commit applies a batch, see Store.Commit.
func (m *Memory) Commit(b *Batch) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range b.ops {
		if err := m.applyLocked(&b.ops[i]); err != nil {
			return fmt.Errorf("checkpoint: commit: %w", err)
		}
	}
	return nil
}

func (m *Memory) applyLocked(o *op) error {
	switch o.kind {
	case opBegin:
		d := o.download
		if _, err := partCount(d.Size, d.PartSize); err != nil {
			return err
		}
		d.Parts = make(map[int]uint32)
		m.downloads[o.key] = d
		delete(m.done, o.key)
	case opMark, opUnmark:
		d := m.downloads[o.key]
		if n, err := partCount(d.Size, max(d.PartSize, 1)); err != nil || o.part < 0 || o.part >= n {
			return fmt.Errorf("%w: part %d of %d", ErrRecord, o.part, n)
		}
		if delete(d.Parts, o.part); o.kind == opMark {
			d.Parts[o.part] = o.crc
		}
	case opDone:
		delete(m.downloads, o.key)
		m.done[o.key] = o.done
	case opForget:
		delete(m.downloads, o.key)
		delete(m.done, o.key)
	case opUpload, opSent, opUnsent, opForgetUpload:
		return m.applyUploadLocked(o)
	case opWait:
		m.waits[waitID{o.wait.DC, o.wait.Method}] = o.wait
	case opLimit:
		m.limits[string(limitKey(o.limit))] = o.limit
	}
	return nil
}

func (m *Memory) applyUploadLocked(o *op) error {
	u, known := m.uploads[o.upload]
	switch o.kind {
	case opUpload:
		if _, err := partCount(o.up.Source.Size, o.up.PartSize); err != nil {
			return err
		}
		parts := u.Parts
		if !known {
			parts = make(map[int]bool)
		}
		u = o.up
		u.Parts = parts
		m.uploads[o.upload] = u
	case opForgetUpload:
		delete(m.uploads, o.upload)
	default:
		if n, err := partCount(u.Source.Size, max(u.PartSize, 1)); err != nil || o.part < 0 || o.part >= n {
			return fmt.Errorf("%w: part %d of %d", ErrRecord, o.part, n)
		}
		if delete(u.Parts, o.part); o.kind == opSent {
			u.Parts[o.part] = true
		}
	}
	return nil
}

// Download is as Store.Download.
func (m *Memory) Download(k Key) (d Download, found bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, found = m.downloads[k]
	d.Parts = maps.Clone(d.Parts)
	return d, found, nil
}

// Done is as Store.Done.
func (m *Memory) Done(k Key) (d Done, found bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, found = m.done[k]
	return d, found, nil
}

// Upload is as Store.Upload.
func (m *Memory) Upload(k UploadKey) (u Upload, found bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	u, found = m.uploads[k]
	u.Parts = maps.Clone(u.Parts)
	return u, found, nil
}

// Waits is as Store.Waits.
func (m *Memory) Waits(now time.Time) ([]Wait, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var waits []Wait
	for _, w := range m.waits {
		if w.Until.After(now) {
			waits = append(waits, w)
		}
	}
	return waits, nil
}

// Limits is as Store.Limits.
func (m *Memory) Limits() ([]Limit, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Values(m.limits)), nil
}
