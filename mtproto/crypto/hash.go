package crypto

import (
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"hash"
	"slices"
	"sync"
	"time"

	simd "github.com/minio/sha256-simd"

	"github.com/tghaul/haul/mtproto/internal/ige"
)

const (
	// sliceBytes is how much is hashed before the scheduler may interrupt: it cannot
	// stop assembly, and a garbage collection waits for it. About 20 µs.
	sliceBytes = 32 << 10
	// minPiece is how many bytes are worth waiting for packets.
	minPiece = 128 << 10
	// hashPatience is how long bytes wait for packets, while those of others pass.
	hashPatience = 16 * time.Millisecond
)

// A Hash is the SHA-256 of a file, whose bytes may be given before they are
// hashed. Where the CPU can, that happens beside the packets of a Sealer, and
// costs next to nothing there:
//
//  1. Append queues a piece of the file, from any goroutine
//  2. in Wait or Finish somebody sees to it that the queue gets shorter. As long
//     as large packets pass through the Sealer, the queue is lent to those who work on them;
//     if none comes in time, it is taken back, and the next piece is hashed alone
//  3. what is hashed is released
//
// Append may be called at any time, everything else by one goroutine at a time.
type Hash struct {
	// Released, if not nil, is called with the owner and the length of each piece that was
	// appended, when it is released. It is set before the first, and must not call the hash.
	Released func(owner Releaser, n int)

	s   *Sealer // nil: nothing is ever lent
	std hash.Hash

	// These belong to whoever has the hash.

	before   int64      // bytes before current that are hashed
	current  piece      // some of which may be hashed
	stream   ige.Stream // whose Data is the rest of current
	exported bool       // the state is in stream and not in std

	state []byte        // std, marshalled
	moved chan struct{} // of size 1: something has changed
	limit *time.Timer

	mu    sync.Mutex // may be taken under that of streams
	place place
	queue []piece // after current
	left  int64   // bytes of current and queue
}

// A piece is bytes that somebody owns until they are hashed.
type piece struct {
	data  []byte
	owner Releaser
}

// A Releaser takes back memory that was lent to it.
type Releaser interface{ Release() }

// A place is where a hash is.
type place int

const (
	home place = iota // with whoever calls its methods
	lent              // it waits for packets
	out               // and has found some: it belongs to who works on them
)

// NewHash returns the hash of no bytes, which is never computed beside packets.
func NewHash() *Hash { return newHash(nil, simd.New()) }

// NewHash returns the hash of no bytes, beside packets of the Sealer.
func (s *Sealer) NewHash() *Hash {
	if !ige.Besides() {
		return NewHash()
	}
	return newHash(s, sha256.New())
}

func newHash(s *Sealer, std hash.Hash) *Hash {
	h := &Hash{s: s, std: std, moved: make(chan struct{}, 1)}
	h.stream.More = h.next
	return h
}

// Write hashes b at once. Nothing may be queued. It never fails.
func (h *Hash) Write(b []byte) (int, error) {
	h.comeHome() // whoever had it last may still be putting it back
	h.restore()
	h.write(b)
	h.before += int64(len(b))
	return len(b), nil
}

func (h *Hash) write(b []byte) {
	for len(b) > 0 {
		n := min(len(b), sliceBytes)
		_, _ = h.std.Write(b[:n]) // a hash never fails
		b = b[n:]
	}
}

// Append queues a piece, which is not changed. It belongs to the hash until
// the owner's Release is called; b is not empty.
func (h *Hash) Append(b []byte, owner Releaser) {
	h.mu.Lock()
	h.queue = append(h.queue, piece{b, owner})
	h.left += int64(len(b))
	h.mu.Unlock()
	h.signal()
}

// Left is how many bytes are queued, counting a piece until all of it is hashed.
func (h *Hash) Left() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.left
}

// Wait returns once no more than so many bytes are queued.
func (h *Hash) Wait(left int64) {
	if h.limit == nil {
		h.limit = time.NewTimer(hashPatience)
	} else {
		h.limit.Reset(hashPatience)
	}
	defer h.limit.Stop()
	for h.Left() > left {
		if h.isHome() {
			if h.lend() {
				h.limit.Reset(hashPatience)
			} else {
				h.alone()
			}
			continue
		}
		select {
		case <-h.moved:
		case <-h.limit.C:
			if h.s.streams.takeBack(h) {
				h.alone()
			}
		}
		h.limit.Reset(hashPatience)
	}
}

// Finish hashes what is queued, without waiting for packets, and returns the
// hash of everything.
func (h *Hash) Finish() (sum [sha256.Size]byte) {
	h.comeHome()
	for h.Left() > 0 {
		h.alone()
	}
	h.restore()
	h.std.Sum(sum[:0])
	return sum
}

// Close releases what is queued. The hash is of no use after it.
func (h *Hash) Close() {
	h.comeHome()
	for h.Left() > 0 {
		h.next()
	}
}

// comeHome waits until nobody else has the hash.
func (h *Hash) comeHome() {
	for !h.isHome() && !h.s.streams.takeBack(h) {
		<-h.moved
	}
}

func (h *Hash) isHome() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.place == home
}

func (h *Hash) setPlace(p place) {
	h.mu.Lock()
	h.place = p
	h.mu.Unlock()
	h.signal()
}

// signal tells who waits that something has changed.
func (h *Hash) signal() {
	select {
	case h.moved <- struct{}{}:
	default: // it is told already
	}
}

// next releases the current piece, all of which is hashed, and moves on. It is
// the More of the stream.
func (h *Hash) next() []byte {
	over := h.current
	h.before += int64(len(over.data))
	h.mu.Lock()
	h.left -= int64(len(over.data))
	if h.current = (piece{}); len(h.queue) > 0 {
		h.current = h.queue[0]
		h.queue = slices.Delete(h.queue, 0, 1)
	}
	h.mu.Unlock()
	if over.owner != nil {
		over.owner.Release()
		if h.Released != nil {
			h.Released(over.owner, len(over.data))
		}
		h.signal()
	}
	return h.current.data
}

// alone hashes the rest of the current piece, or else the next one.
func (h *Hash) alone() {
	h.restore()
	if len(h.stream.Data) == 0 {
		h.stream.Data = h.next()
	}
	h.write(h.stream.Data)
	h.stream.Data = h.next()
}

// lend has the queue hashed beside packets, if that is worth while.
func (h *Hash) lend() bool {
	if h.s == nil || h.stream.Turns() < minPiece/ige.StreamTurn || h.at()%sha256.BlockSize != 0 || !h.s.busy() {
		return false
	}
	h.export()
	h.s.streams.lend(h)
	return true
}

// at is how many bytes are hashed.
func (h *Hash) at() int64 { return h.before + int64(len(h.current.data)-len(h.stream.Data)) }

// The standard library marshals a SHA-256 as a magic word, the state, a block
// that is begun, and the number of bytes: 108 bytes.
const (
	stateAt  = 4
	lengthAt = stateAt + sha256.Size + sha256.BlockSize
)

// export moves the state from std, which has hashed whole blocks, to the stream.
func (h *Hash) export() {
	if h.exported {
		return
	}
	state, err := h.std.(encoding.BinaryAppender).AppendBinary(h.state[:0])
	if err != nil || len(state) != lengthAt+8 {
		panic("crypto: crypto/sha256 is marshalled otherwise")
	}
	h.state, h.exported = state, true
	h.stream.SetState(state[stateAt:])
}

// restore moves it back.
func (h *Hash) restore() {
	if !h.exported {
		return
	}
	h.exported = false
	h.stream.PutState(h.state[stateAt:])
	binary.BigEndian.PutUint64(h.state[lengthAt:], uint64(h.at()))
	if err := h.std.(encoding.BinaryUnmarshaler).UnmarshalBinary(h.state); err != nil {
		panic("crypto: " + err.Error())
	}
}
