package transfer

import (
	"context"
	"hash"
	"io"
	"sync"

	"github.com/tghaul/haul/transfer/internal/filehash"
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
	have []bool // parts that are in the file

	hashing sync.Mutex // guards what follows; held while hashing
	sum     hash.Hash
	next    int   // the first part that is not hashed
	err     error // of reading back; sum is spoilt then
}

func newFrontier(file io.ReaderAt, size int64, partSize int) *frontier {
	return &frontier{
		file: file, size: size, partSize: int64(partSize), sum: filehash.New(),
		have: make([]bool, (size+int64(partSize)-1)/int64(partSize)),
	}
}

// offer hashes a part that is written, if its turn is now. b is not kept.
func (f *frontier) offer(n int, b []byte) {
	f.mark(n)
	if !f.hashing.TryLock() {
		return // whoever hashes will find it
	}
	defer f.hashing.Unlock()
	if f.next == n && f.err == nil {
		_, _ = f.sum.Write(b) // a hash never fails
		f.next++
	}
}

// mark notes that a part is in the file, without its bytes.
func (f *frontier) mark(n int) {
	f.mu.Lock()
	f.have[n] = true
	f.mu.Unlock()
}

// catchUp hashes the parts that follow and are there, unless another does.
func (f *frontier) catchUp(ctx context.Context) {
	if f.hashing.TryLock() {
		f.catchUpLocked(ctx)
		f.hashing.Unlock()
	}
}

func (f *frontier) catchUpLocked(ctx context.Context) {
	var buf []byte
	for ctx.Err() == nil && f.err == nil && f.isThere(f.next) {
		if buf == nil {
			buf = make([]byte, min(f.partSize, 256<<10))
		}
		off := int64(f.next) * f.partSize
		length := min(f.partSize, f.size-off)
		n, err := io.CopyBuffer(onlyWriter{f.sum}, io.NewSectionReader(f.file, off, length), buf)
		if err == nil && n < length {
			err = io.ErrUnexpectedEOF
		}
		if f.err = err; err == nil {
			f.next++
		}
	}
}

func (f *frontier) isThere(n int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return n < len(f.have) && f.have[n]
}

// onlyWriter hides the other methods of a writer, so that CopyBuffer uses its buffer.
type onlyWriter struct{ io.Writer }

// result is the hash of the whole file. All parts must have been offered.
func (f *frontier) result(ctx context.Context) (sum [32]byte, err error) {
	f.hashing.Lock()
	defer f.hashing.Unlock()
	f.catchUpLocked(ctx)
	switch {
	case f.err != nil:
		return sum, f.err
	case ctx.Err() != nil:
		return sum, ctx.Err()
	case f.next != len(f.have):
		panic("transfer: hash of a file with parts missing")
	}
	return [32]byte(f.sum.Sum(nil)), nil
}
