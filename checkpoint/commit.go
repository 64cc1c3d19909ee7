package checkpoint

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// Commit makes the changes of a batch durable: when it returns nil they
// survive a power loss, all of them; when it fails, none was made, unless the
// batch was too large for one transaction (thousands of files), in which case
// the first ones may have been. An empty batch is nothing to do.
func (s *Store) Commit(b *Batch) error {
	if len(b.ops) == 0 {
		return nil
	}
	if err := s.checkSpace(s.opts.MinFree); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == nil {
		return ErrClosed
	}
	w := &s.writer
	w.txn = s.db.NewTransaction(true)
	err := w.commit(b.ops)
	w.txn.Discard()
	w.txn = nil
	if err != nil {
		*w = newWriter(s.db) // what it knows is not what is recorded
		return fmt.Errorf("checkpoint: commit: %w", err)
	}
	return nil
}

// A writer applies changes to transactions. Pages are changed in memory and
// written at the end, once each. What it knows of parts and pages is what the
// store has, with the changes of the present transaction.
type writer struct {
	db    *badger.DB
	txn   *badger.Txn
	parts recent[int] // by key of a header: how many parts it has, noHeader if there is none
	pages recent[*page]
	dirty []dirtyPage // in order of first use
	buf   []byte      // that the pages are encoded in
}

// A dirtyPage has been changed, and is to be written unless the file of the
// page was forgotten meanwhile.
type dirtyPage struct {
	key []byte
	*page
}

const (
	// The files of a run that are open at once have a page each, or two.
	recentPages = 1 << 10 // of a KiB at most
	recentParts = 1 << 12
	keptBuffer  = 1 << 18 // greatest buffer that is kept for the next commit
)

func newWriter(db *badger.DB) writer {
	return writer{db: db, parts: newRecent[int](recentParts), pages: newRecent[*page](recentPages)}
}

func (w *writer) apply(o *op) error {
	head, pages := o.key.bytes(prefixDownload), o.key.bytes(prefixPage)
	switch o.kind {
	case opUpload, opSent, opUnsent, opForgetUpload, opFinishUpload:
		head, pages = o.upload.bytes(prefixUpload), o.upload.bytes(prefixSent)
	default:
	}
	switch o.kind {
	case opBegin:
		return errors.Join(w.forget(head, pages), w.forget(o.key.bytes(prefixDone), pages),
			w.begin(head, o.download.Size, o.download.PartSize, o.download))
	case opUpload:
		return w.begin(head, o.up.Source.Size, o.up.PartSize, o.up)
	case opMark, opUnmark, opSent, opUnsent:
		return w.mark(head, pages, o.part, o.crc, o.kind == opMark || o.kind == opSent)
	case opDone:
		return w.finish(o, head, pages)
	case opForget:
		return errors.Join(w.forget(head, pages), w.forget(o.key.bytes(prefixDone), pages))
	case opForgetUpload:
		return w.forget(head, pages)
	case opWait:
		return w.putJSON(waitKey(o.wait.DC, o.wait.Method), o.wait)
	case opLimit:
		return w.putJSON(limitKey(o.limit), o.limit)
	case opJob, opForgetJob, opForgetSent:
		return w.applyJob(o)
	case opForward:
		return w.putJSON(forwardKey(o.job.ID, o.part), o.forward)
	case opFinishUpload:
		if err := errors.Join(w.forget(head, pages), w.remember(o.upload, o.sent)); err != nil || o.job.ID == "" {
			return err
		}
		return w.putJSON(sentKey(o.job.ID, o.upload), o.sent)
	default:
		panic("checkpoint: unknown operation")
	}
}

// begin writes a header.
func (w *writer) begin(head []byte, size int64, partSize int, record any) error {
	n, err := partCount(size, partSize)
	if err != nil {
		return err
	}
	w.parts.put(head, n)
	return w.putJSON(head, record)
}

// finish records a finished download. The marks of the unfinished one become
// its checksums if they are of the same parts.
func (w *writer) finish(o *op, head, pages []byte) error {
	done := o.key.bytes(prefixDone)
	n, err := w.count(head)
	n = max(n, 0)
	record := o.done
	if keep, bad := partCount(record.Size, record.PartSize); err != nil || bad != nil || keep != n {
		record.PartSize = 0
		if err := errors.Join(w.forget(head, pages), w.forget(done, pages)); err != nil {
			return err
		}
		n = 0
	}
	w.parts.put(head, noHeader)
	w.parts.put(done, n)
	return errors.Join(w.delete(head), w.putJSON(done, record))
}

// partCount is how many parts a file has; at most maxParts are believed.
func partCount(size int64, partSize int) (int, error) {
	if size < 0 || partSize <= 0 || size/int64(partSize) >= maxParts {
		return 0, fmt.Errorf("%w: size %d in parts of %d", ErrRecord, size, partSize)
	}
	return int((size + int64(partSize) - 1) / int64(partSize)), nil
}

const maxParts = 1 << 24

// noHeader is the number of parts of a file without a header.
const noHeader = -1

// count is the number of parts that a header says, or noHeader.
func (w *writer) count(head []byte) (int, error) {
	if n, ok := w.parts.get(head); ok {
		return n, nil
	}
	n := noHeader
	err := getJSON(w.txn, head, func(h *header) (err error) {
		n, err = h.parts()
		return err
	})
	if err != nil && !errors.Is(err, errNone) {
		return 0, err
	}
	w.parts.put(head, n)
	return n, nil
}

// forget removes a header and the pages of its parts, if there is one.
func (w *writer) forget(head, pages []byte) error {
	n, err := w.count(head)
	switch {
	case err != nil:
		n = 0 // a damaged header: its pages are lost, and harmless
	case n == noHeader:
		return nil
	}
	for i := range pageCount(n) {
		key := pageKey(pages, i)
		if p, ok := w.pages.get(key); ok {
			p.dirty = false
			w.pages.drop(key)
		}
		if err := w.delete(key); err != nil {
			return err
		}
	}
	w.parts.put(head, noHeader)
	return w.delete(head)
}

func (w *writer) mark(head, pages []byte, part int, crc uint32, set bool) error {
	n, err := w.count(head)
	if err != nil {
		return err
	}
	if part < 0 || part >= n {
		return fmt.Errorf("%w: part %d of %d", ErrRecord, part, max(n, 0))
	}
	key := pageKey(pages, part/pageParts)
	p, err := w.page(key)
	if err != nil {
		return err
	}
	if !p.dirty {
		p.dirty = true
		w.dirty = append(w.dirty, dirtyPage{key, p})
	}
	if set {
		p.mark(part%pageParts, crc)
	} else {
		p.unmark(part % pageParts)
	}
	return nil
}

// page is the page under the key, to be changed.
func (w *writer) page(key []byte) (*page, error) {
	if p, ok := w.pages.get(key); ok {
		return p, nil
	}
	p := new(page)
	item, err := w.txn.Get(key)
	switch {
	case errors.Is(err, badger.ErrKeyNotFound):
	case err != nil:
		return nil, err
	default:
		if err := item.Value(p.decode); err != nil {
			return nil, err
		}
	}
	w.pages.put(key, p)
	return p, nil
}

func (w *writer) putJSON(key []byte, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return w.set(key, b)
}

// set writes a record. A transaction that has become too large is committed
// and followed by another.
func (w *writer) set(key, value []byte) error {
	return w.retryTooBig(func() error { return w.txn.Set(key, value) })
}

func (w *writer) delete(key []byte) error {
	return w.retryTooBig(func() error { return w.txn.Delete(key) })
}

func (w *writer) retryTooBig(f func() error) error {
	err := f()
	if !errors.Is(err, badger.ErrTxnTooBig) {
		return err
	}
	if err := w.txn.Commit(); err != nil {
		return err
	}
	w.txn = w.db.NewTransaction(true)
	return f()
}

// commit applies the changes and commits them.
func (w *writer) commit(ops []op) error {
	for i := range ops {
		if err := w.apply(&ops[i]); err != nil {
			return err
		}
	}
	for _, p := range w.dirty {
		if !p.dirty {
			continue // forgotten
		}
		p.dirty = false
		at := len(w.buf)
		w.buf = p.appendTo(w.buf)
		if err := w.set(p.key, w.buf[at:len(w.buf):len(w.buf)]); err != nil {
			return err
		}
	}
	if err := w.txn.Commit(); err != nil {
		return err
	}
	// Badger has copied keys and values by now.
	w.dirty, w.buf = w.dirty[:0], w.buf[:0]
	if cap(w.buf) > keptBuffer {
		w.dirty, w.buf = nil, nil
	}
	w.parts.age()
	w.pages.age()
	return nil
}
