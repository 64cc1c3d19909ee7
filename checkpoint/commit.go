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
	w := writer{db: s.db, txn: s.db.NewTransaction(true), parts: make(map[string]int), pages: make(map[string]*page)}
	defer func() { w.txn.Discard() }()
	for i := range b.ops {
		if err := w.apply(&b.ops[i]); err != nil {
			return fmt.Errorf("checkpoint: commit: %w", err)
		}
	}
	if err := w.commit(); err != nil {
		return fmt.Errorf("checkpoint: commit: %w", err)
	}
	return nil
}

// A writer applies changes to a transaction. Pages are changed in memory and
// written at the end, once each.
type writer struct {
	db    *badger.DB
	txn   *badger.Txn
	parts map[string]int // by key of a header: how many parts it has, 0 if there is none
	pages map[string]*page
	order []string // keys of pages, in order of first use
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
	w.parts[string(head)] = n
	return w.putJSON(head, record)
}

// finish records a finished download. The marks of the unfinished one become
// its checksums if they are of the same parts.
func (w *writer) finish(o *op, head, pages []byte) error {
	done := o.key.bytes(prefixDone)
	n, err := w.count(head)
	if keep, bad := partCount(o.done.Size, o.done.PartSize); err != nil || bad != nil || keep != n {
		o.done.PartSize = 0
		if err := errors.Join(w.forget(head, pages), w.forget(done, pages)); err != nil {
			return err
		}
		n = 0
	}
	w.parts[string(head)], w.parts[string(done)] = 0, n
	return errors.Join(w.delete(head), w.putJSON(done, o.done))
}

// partCount is how many parts a file has; at most maxParts are believed.
func partCount(size int64, partSize int) (int, error) {
	if size < 0 || partSize <= 0 || size/int64(partSize) >= maxParts {
		return 0, fmt.Errorf("%w: size %d in parts of %d", ErrRecord, size, partSize)
	}
	return int((size + int64(partSize) - 1) / int64(partSize)), nil
}

const maxParts = 1 << 24

// count is the number of parts that a header says.
func (w *writer) count(head []byte) (int, error) {
	if n, ok := w.parts[string(head)]; ok {
		return n, nil
	}
	n := 0
	err := getJSON(w.txn, head, func(h *header) (err error) {
		n, err = h.parts()
		return err
	})
	if err != nil && !errors.Is(err, errNone) {
		return 0, err
	}
	w.parts[string(head)] = n
	return n, nil
}

// forget removes a header and the pages of its parts.
func (w *writer) forget(head, pages []byte) error {
	n, err := w.count(head)
	if err != nil {
		n = 0 // a damaged header: its pages are lost, and harmless
	}
	for i := range pageCount(n) {
		key := pageKey(pages, i)
		delete(w.pages, string(key))
		if err := w.delete(key); err != nil {
			return err
		}
	}
	w.parts[string(head)] = 0
	return w.delete(head)
}

func (w *writer) mark(head, pages []byte, part int, crc uint32, set bool) error {
	n, err := w.count(head)
	if err != nil {
		return err
	}
	if part < 0 || part >= n {
		return fmt.Errorf("%w: part %d of %d", ErrRecord, part, n)
	}
	p, err := w.page(pageKey(pages, part/pageParts))
	if err != nil {
		return err
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
	if p := w.pages[string(key)]; p != nil {
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
	w.pages[string(key)] = p
	w.order = append(w.order, string(key))
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

func (w *writer) commit() error {
	for _, key := range w.order {
		p := w.pages[key]
		if p == nil {
			continue // dropped
		}
		if err := w.set([]byte(key), p.encode()); err != nil {
			return err
		}
	}
	return w.txn.Commit()
}
