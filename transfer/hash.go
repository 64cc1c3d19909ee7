package transfer

import (
	"context"
	"hash"
	"io"
	"sync"

	sha256 "github.com/minio/sha256-simd"
)

// A frontier hashes a file from front to back while its parts arrive in any
// order. A part that comes just when its turn is, is hashed out of memory;
// the others are read back, out of the page cache as a rule, once those before
// them are there.
type frontier struct {
	file     io.ReaderAt
	size     int64
	partSize int64

	mu   sync.Mutex
	sum  hash.Hash // used by whoever has set busy
	busy bool
	idle sync.Cond // busy has become false
	next int       // the first part that is not hashed
	have []bool    // parts that are in the file
}

func newFrontier(file io.ReaderAt, size int64, partSize int) *frontier {
	f := &frontier{
		file: file, size: size, partSize: int64(partSize), sum: sha256.New(),
		have: make([]bool, (size+int64(partSize)-1)/int64(partSize)),
	}
	f.idle.L = &f.mu
	return f
}

// offer hashes a part that is written, if its turn is now. b is not kept.
func (f *frontier) offer(n int, b []byte) {
	f.mu.Lock()
	f.have[n] = true
	mine := !f.busy && f.next == n
	f.busy = f.busy || mine
	f.mu.Unlock()
	if !mine {
		return
	}
	_, _ = f.sum.Write(b) // a hash never fails
	f.mu.Lock()
	f.busy, f.next = false, n+1
	f.idle.Broadcast()
	f.mu.Unlock()
}

// catchUp hashes the parts that follow and are there, unless another does it.
func (f *frontier) catchUp(ctx context.Context) error {
	var buf []byte
	for ctx.Err() == nil {
		f.mu.Lock()
		if f.busy || f.next == len(f.have) || !f.have[f.next] {
			f.mu.Unlock()
			return nil
		}
		f.busy = true
		n := f.next
		f.mu.Unlock()

		if buf == nil {
			buf = make([]byte, min(f.partSize, 256<<10))
		}
		err := f.read(n, buf)

		f.mu.Lock()
		f.busy = false
		if err == nil {
			f.next = n + 1
		}
		f.idle.Broadcast()
		f.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// read hashes one part out of the file. On an error the hash is spoilt, and so
// is the file.
func (f *frontier) read(n int, buf []byte) error {
	off := int64(n) * f.partSize
	length := min(f.partSize, f.size-off)
	_, err := io.CopyBuffer(onlyWriter{f.sum}, io.NewSectionReader(f.file, off, length), buf)
	return err
}

// onlyWriter hides the other methods of a writer, so that CopyBuffer uses its buffer.
type onlyWriter struct{ io.Writer }

// result is the hash of the whole file. All parts must have been offered.
// Whoever still hashes a part is waited for.
func (f *frontier) result(ctx context.Context) (sum [32]byte, err error) {
	for {
		if err := f.catchUp(ctx); err != nil {
			return sum, err
		}
		f.mu.Lock()
		for f.busy {
			f.idle.Wait()
		}
		next := f.next
		f.mu.Unlock()
		switch {
		case next == len(f.have):
			return [32]byte(f.sum.Sum(nil)), nil
		case !f.have[next]:
			panic("transfer: hash of a file with parts missing")
		}
	}
}
