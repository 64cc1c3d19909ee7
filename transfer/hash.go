package transfer

import (
	"context"
	"io"
	"sync"
	"sync/atomic"

	"github.com/tghaul/haul/mtproto/crypto"
)

const (
	// maxHeld is how many bytes a run holds in memory until they are hashed, beside those
	// that are read back, and how far ahead of the hash a part may be to be held.
	maxHeld = 12 << 20
	// readAhead is how much is read back at a time of what is not held, or one part, and
	// enoughRead how much is queued before no more is read: less than what a core has
	// of cache for itself.
	readAhead  = 512 << 10
	enoughRead = 1 << 20
)

// A frontier hashes a file from front to back while its parts arrive in any
// order. Those that come a little before their turn stay in memory until then;
// the others are read back, out of the page cache as a rule, once those before them are there.
// A nil frontier hashes nothing, and its result is zero: see Options.NoHash.
type frontier struct {
	file     io.ReaderAt
	size     int64
	partSize int64
	holding  *atomic.Int64 // bytes held, of all files of the run; not what was read back
	buffers  *readBuffers  // of the run too
	sum      *crypto.Hash

	mu      sync.Mutex
	have    []bool           // parts that are in the file
	held    map[int]heldPart // those of them that wait in memory for their turn
	next    int              // the first part that is not queued for the hash
	reading bool             // the parts before next are still being read back: nothing else is queued
	err     error            // of reading back; sum is spoilt then. Written by who has the turn

	turn chan struct{} // of size 1, full while somebody hashes
}

// A heldPart is the bytes of a part, and what has to be released when they are hashed.
type heldPart struct {
	data  []byte
	owner crypto.Releaser
}

// frontierOf is the frontier of a file that is transferred: nil with Options.NoHash.
func (r *run) frontierOf(file io.ReaderAt, size int64, partSize int) *frontier {
	if r.o.NoHash {
		return nil
	}
	return r.newFrontier(file, size, partSize)
}

func (r *run) newFrontier(file io.ReaderAt, size int64, partSize int) *frontier {
	sum := r.tg.NewHash()
	sum.Released = func(owner crypto.Releaser, n int) {
		if _, readBack := owner.(*readBuffer); !readBack {
			r.holding.Add(-int64(n))
		}
	}
	return &frontier{
		file: file, size: size, partSize: int64(partSize), sum: sum, holding: &r.holding, buffers: &r.buffers,
		have: make([]bool, (size+int64(partSize)-1)/int64(partSize)), held: make(map[int]heldPart),
		turn: make(chan struct{}, 1),
	}
}

// hold notes that a part is in the file, and takes its bytes over, if they are
// of use. It reports whether it has; then they are released when they are hashed.
func (f *frontier) hold(n int, p heldPart) bool {
	if f == nil {
		return false
	}
	size := int64(len(p.data))
	f.mu.Lock()
	defer f.mu.Unlock()
	f.have[n] = true
	if n < f.next || int64(n-f.next)*f.partSize >= maxHeld || f.isHeld(n) {
		return false
	}
	if f.holding.Add(size) > maxHeld {
		f.holding.Add(-size)
		return false
	}
	f.held[n] = p
	f.queueLocked()
	return true
}

// queueLocked has the held parts hashed whose turn has come.
func (f *frontier) queueLocked() {
	for !f.reading && f.isHeld(f.next) {
		p := f.held[f.next]
		delete(f.held, f.next)
		f.sum.Append(p.data, p.owner)
		f.next++
	}
}

func (f *frontier) isHeld(n int) bool {
	_, held := f.held[n]
	return held
}

// offer hashes a part that is in the file, if its turn is now. b is not kept.
func (f *frontier) offer(n int, b []byte) {
	if f == nil {
		return
	}
	f.mark(n)
	if !f.begin() {
		return // whoever hashes will find it
	}
	defer f.end()
	f.mu.Lock()
	its := f.next == n && f.err == nil && f.sum.Left() == 0
	if its {
		f.next++
		f.reading = true
	}
	f.mu.Unlock()
	if its {
		_, _ = f.sum.Write(b) // a hash never fails
		f.wasRead(nil)
	}
}

// mark notes that a part is in the file, without its bytes.
func (f *frontier) mark(n int) {
	if f == nil {
		return
	}
	f.mu.Lock()
	f.have[n] = true
	f.mu.Unlock()
}

// catchUp hashes the parts that follow and are there, unless another does. It
// waits for packets to do it beside, while there are some.
func (f *frontier) catchUp(ctx context.Context) {
	for f != nil && f.begin() {
		for f.readBack(ctx) {
			f.sum.Wait(enoughRead)
		}
		f.sum.Wait(0)
		f.end()
		if ctx.Err() != nil || !f.moreToDo() {
			return
		}
	}
}

// moreToDo reports whether somebody who came last has found begin to fail, and left.
func (f *frontier) moreToDo() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sum.Left() > 0 || f.err == nil && f.next < len(f.have) && f.have[f.next] && !f.reading
}

// begin reports whether nobody hashes but the caller now, who has to call end.
func (f *frontier) begin() bool {
	select {
	case f.turn <- struct{}{}:
		return true
	default:
		return false
	}
}

func (f *frontier) end() { <-f.turn }

// readBack queues the next parts, up to readAhead bytes, if they are not in memory
// but in the file. Otherwise it returns false.
func (f *frontier) readBack(ctx context.Context) bool {
	if ctx.Err() != nil {
		return false
	}
	from, parts := f.toRead()
	if parts == 0 {
		return false
	}
	off := int64(from) * f.partSize
	length := min(int64(parts)*f.partSize, f.size-off)
	buf := f.buffers.get(int(length))
	b := buf.b[:length]
	n, err := f.file.ReadAt(b, off)
	switch {
	case n == len(b):
		f.sum.Append(b, buf)
		err = nil
	case err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	f.wasRead(err)
	return err == nil
}

// readBuffers are used again and again for what is read back.
type readBuffers struct{ pool sync.Pool }

// A readBuffer is memory for what is read back. It goes back to the pool, if there is one.
type readBuffer struct {
	b  []byte
	of *readBuffers
}

// smallRead is up to how many bytes get memory of their own: many small files may
// be read back at the same time.
const smallRead = 128 << 10

func (p *readBuffers) get(n int) *readBuffer {
	if n <= smallRead {
		return &readBuffer{b: make([]byte, n)}
	}
	if b, ok := p.pool.Get().(*readBuffer); ok {
		return b
	}
	return &readBuffer{make([]byte, MaxPartSize), p}
}

// Release implements crypto.Releaser.
func (b *readBuffer) Release() {
	if b.of != nil {
		b.of.pool.Put(b)
	}
}

// toRead takes parts out to be read back.
func (f *frontier) toRead() (from, parts int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	from = f.next
	if f.err != nil {
		return from, 0
	}
	for n := from; n < len(f.have) && f.have[n] && !f.isHeld(n); n++ {
		if parts++; int64(parts+1)*f.partSize > readAhead {
			break
		}
	}
	f.next += parts
	f.reading = parts > 0
	return from, parts
}

// wasRead has the parts queued that come after those that were read, unless they could not be.
func (f *frontier) wasRead(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.reading, f.err = false, err; err == nil {
		f.queueLocked()
	}
}

// result is the hash of the whole file. All parts must have been offered.
func (f *frontier) result(ctx context.Context) (sum [32]byte, err error) {
	if f == nil {
		return sum, nil
	}
	f.turn <- struct{}{}
	defer f.end()
	for f.readBack(ctx) {
		f.sum.Finish()
	}
	switch {
	case f.err != nil:
		return sum, f.err
	case ctx.Err() != nil:
		return sum, ctx.Err()
	case f.next != len(f.have):
		panic("transfer: hash of a file with parts missing")
	}
	return f.sum.Finish(), nil
}

// close frees what is held. Nothing may be hashed any more.
func (f *frontier) close() {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sum.Close()
	for n, p := range f.held {
		f.holding.Add(-int64(len(p.data)))
		p.owner.Release()
		delete(f.held, n)
	}
}
