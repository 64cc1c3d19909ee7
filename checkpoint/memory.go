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
	checksums map[Key]map[int]uint32
	jobs      map[string]Job
	sent      map[string]map[UploadKey]Sent // by job
	contents  map[sentContent]Sent
	sources   map[UploadKey]Sent
	forwards  map[forwardOf]Forward
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
		checksums: make(map[Key]map[int]uint32), jobs: make(map[string]Job), sent: make(map[string]map[UploadKey]Sent),
		contents: make(map[sentContent]Sent), sources: make(map[UploadKey]Sent),
		forwards: make(map[forwardOf]Forward),
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
		delete(m.checksums, o.key)
	case opMark, opUnmark:
		d := m.downloads[o.key]
		if n, err := partCount(d.Size, max(d.PartSize, 1)); err != nil || o.part < 0 || o.part >= n {
			return fmt.Errorf("%w: part %d of %d", ErrRecord, o.part, n)
		}
		if delete(d.Parts, o.part); o.kind == opMark {
			d.Parts[o.part] = o.crc
		}
	case opDone:
		m.finishLocked(o)
	case opForget:
		delete(m.downloads, o.key)
		delete(m.done, o.key)
		delete(m.checksums, o.key)
	case opUpload, opSent, opUnsent, opForgetUpload, opFinishUpload:
		return m.applyUploadLocked(o)
	case opWait:
		m.waits[waitID{o.wait.DC, o.wait.Method}] = o.wait
	case opLimit:
		m.limits[string(limitKey(o.limit))] = o.limit
	case opJob:
		m.jobs[o.job.ID] = o.job.clone()
	case opForgetJob:
		delete(m.jobs, o.job.ID)
		delete(m.sent, o.job.ID)
		m.forgetForwardsLocked(o.job.ID)
	case opForgetSent:
		delete(m.sent, o.job.ID)
		m.forgetForwardsLocked(o.job.ID)
	case opForward:
		m.forwards[forwardOf{o.job.ID, o.part}] = o.forward
	}
	return nil
}

func (m *Memory) finishLocked(o *op) {
	d := m.downloads[o.key]
	n, _ := partCount(d.Size, d.PartSize) // 0 of none
	done := o.done
	if keep, err := partCount(done.Size, done.PartSize); err != nil || keep != n {
		done.PartSize = 0
		delete(m.checksums, o.key)
	} else {
		m.checksums[o.key] = d.Parts
	}
	delete(m.downloads, o.key)
	m.done[o.key] = done
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
	case opFinishUpload:
		delete(m.uploads, o.upload)
		m.rememberLocked(o.upload, o.sent)
		if id := o.job.ID; id != "" {
			if m.sent[id] == nil {
				m.sent[id] = make(map[UploadKey]Sent)
			}
			m.sent[id][o.upload] = o.sent
		}
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

// Checksums is as Store.Checksums.
func (m *Memory) Checksums(k Key) (map[int]uint32, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.checksums[k]), nil
}

// Jobs is as Store.Jobs.
func (m *Memory) Jobs() ([]Job, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var jobs []Job
	for _, j := range m.jobs {
		jobs = append(jobs, j.clone())
	}
	sortJobs(jobs)
	return jobs, nil
}

// Sent is as Store.Sent.
func (m *Memory) Sent(job string, k UploadKey) (s Sent, found bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, found = m.sent[job][k]
	return s, found, nil
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
