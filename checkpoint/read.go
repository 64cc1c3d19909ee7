package checkpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// errNone says that there is no such record.
var errNone = errors.New("checkpoint: no record")

// getJSON reads the record under a key and hands it to use. The error is
// errNone if there is none, and wraps ErrRecord if it cannot be understood.
func getJSON[T any](txn *badger.Txn, key []byte, use func(*T) error) error {
	item, err := txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return errNone
	}
	if err != nil {
		return err
	}
	return item.Value(func(b []byte) error {
		v := new(T)
		if err := json.Unmarshal(b, v); err != nil {
			return fmt.Errorf("%w: %w", ErrRecord, err)
		}
		return use(v)
	})
}

// view runs f on a snapshot of the store. errNone becomes false.
func (s *Store) view(f func(*badger.Txn) error) (found bool, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.db == nil {
		return false, ErrClosed
	}
	switch err := s.db.View(f); {
	case errors.Is(err, errNone):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("checkpoint: read: %w", err)
	}
	return true, nil
}

// Download is the record of an unfinished download, with its marked parts;
// false if there is none.
func (s *Store) Download(k Key) (d Download, found bool, err error) {
	found, err = s.view(func(txn *badger.Txn) error {
		return getJSON(txn, k.bytes(prefixDownload), func(r *Download) error {
			d = *r
			d.Parts = make(map[int]uint32)
			n, err := partCount(d.Size, d.PartSize)
			if err != nil {
				return err
			}
			return readPages(txn, k.bytes(prefixPage), n, func(part int, crc uint32) { d.Parts[part] = crc })
		})
	})
	return d, found, err
}

// readPages calls mark for each marked part below n.
func readPages(txn *badger.Txn, pages []byte, n int, mark func(part int, crc uint32)) error {
	for i := range pageCount(n) {
		item, err := txn.Get(pageKey(pages, i))
		if errors.Is(err, badger.ErrKeyNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		p := new(page)
		if err := item.Value(p.decode); err != nil {
			return err
		}
		for j := range min(pageParts, n-i*pageParts) {
			if p.marked(j) {
				mark(i*pageParts+j, p.crcs[j])
			}
		}
	}
	return nil
}

// Done is the record of a finished download; false if there is none.
func (s *Store) Done(k Key) (d Done, found bool, err error) {
	found, err = s.view(func(txn *badger.Txn) error {
		return getJSON(txn, k.bytes(prefixDone), func(r *Done) error { d = *r; return nil })
	})
	return d, found, err
}

// Checksums are the CRC-32C of the parts of a finished download, which are of
// its Done.PartSize; none if they were not kept.
func (s *Store) Checksums(k Key) (crcs map[int]uint32, err error) {
	_, err = s.view(func(txn *badger.Txn) error {
		return getJSON(txn, k.bytes(prefixDone), func(d *Done) error {
			n, err := partCount(d.Size, d.PartSize)
			if err != nil {
				return nil //nolint:nilerr // a record without a part size has none
			}
			crcs = make(map[int]uint32, n)
			return readPages(txn, k.bytes(prefixPage), n, func(part int, crc uint32) { crcs[part] = crc })
		})
	})
	return crcs, err
}

// Upload is the record of an upload, with its confirmed parts; false if there
// is none.
func (s *Store) Upload(k UploadKey) (u Upload, found bool, err error) {
	found, err = s.view(func(txn *badger.Txn) error {
		return getJSON(txn, k.bytes(prefixUpload), func(r *Upload) error {
			u = *r
			u.Parts = make(map[int]bool)
			n, err := partCount(u.Source.Size, u.PartSize)
			if err != nil {
				return err
			}
			return readPages(txn, k.bytes(prefixSent), n, func(part int, _ uint32) { u.Parts[part] = true })
		})
	})
	return u, found, err
}

// Waits are the recorded flood waits that are not over at now.
func (s *Store) Waits(now time.Time) ([]Wait, error) {
	var waits []Wait
	_, err := s.view(func(txn *badger.Txn) error {
		return scan(txn, []byte{prefixWait}, func(_ []byte, w *Wait) bool {
			if w.Until.After(now) {
				waits = append(waits, *w)
			}
			return true
		})
	})
	return waits, err
}

// Limits are the recorded limits, in no order.
func (s *Store) Limits() ([]Limit, error) {
	var limits []Limit
	_, err := s.view(func(txn *badger.Txn) error {
		return scan(txn, []byte{prefixLimit}, func(_ []byte, l *Limit) bool {
			limits = append(limits, *l)
			return true
		})
	})
	return limits, err
}

// Unfinished lists the headers of all unfinished downloads, without their
// parts, in the order of their keys. The store must not be closed meanwhile.
func (s *Store) Unfinished() iter.Seq2[Key, Download] {
	return func(yield func(Key, Download) bool) {
		_, err := s.view(func(txn *badger.Txn) error {
			return scan(txn, []byte{prefixDownload}, func(key []byte, d *Download) bool {
				k, err := parseKey(key)
				return err != nil || yield(k, *d)
			})
		})
		if err != nil {
			s.opts.Log.Error("checkpoint: list", "err", err)
		}
	}
}

// scan reads the records under a prefix until use reports false. Damaged ones
// are passed over.
func scan[T any](txn *badger.Txn, prefix []byte, use func(key []byte, v *T) bool) error {
	o := badger.DefaultIteratorOptions
	o.Prefix = prefix
	it := txn.NewIterator(o)
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		v, more := new(T), true
		err := it.Item().Value(func(b []byte) error {
			if err := json.Unmarshal(b, v); err == nil {
				more = use(it.Item().KeyCopy(nil), v)
			}
			return nil
		})
		if err != nil || !more {
			return err
		}
	}
	return nil
}
