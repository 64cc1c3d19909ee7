package mtserver

import (
	"math/bits"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

// Big answers and received frames live in pooled memory of a few sizes:
// 2^k plus room for headers and padding, so that a file part of 2^k fits.
const (
	minClass  = 14 // 16 KiB: smaller memory is not worth pooling
	maxClass  = 22 // 4 MiB: the longest frame
	classRoom = 2048
)

var pools [maxClass - minClass + 1]sync.Pool

// getMem returns memory of length 0 and at least n bytes of capacity.
func getMem(n int) []byte {
	class := max(bits.Len(uint(max(n-classRoom, 1)-1)), minClass)
	if class > maxClass {
		return make([]byte, 0, n)
	}
	if p, ok := pools[class-minClass].Get().(*[]byte); ok {
		return (*p)[:0]
	}
	return make([]byte, 0, 1<<class+classRoom)
}

// putMem gives memory back, of whatever capacity it has grown to.
func putMem(b []byte) {
	if cap(b) < 1<<minClass+classRoom {
		return
	}
	class := min(bits.Len(uint(cap(b)-classRoom))-1, maxClass)
	if cap(b) > 2<<class+classRoom {
		return // an odd giant: not worth keeping
	}
	b = b[:0]
	pools[class-minClass].Put(&b)
}

// A frameBuf is one received frame. Each handler that reads from it holds a
// reference; the last one to release gives the memory and the quota back.
type frameBuf struct {
	data  []byte // the payload, somewhere in mem
	mem   []byte
	size  int64
	quota *semaphore.Weighted
	refs  atomic.Int32
}

// newFrame returns an empty frame with one reference.
func newFrame(quota *semaphore.Weighted) *frameBuf {
	f := &frameBuf{quota: quota}
	f.refs.Store(1)
	return f
}

func (f *frameBuf) retain() { f.refs.Add(1) }

func (f *frameBuf) release() {
	switch n := f.refs.Add(-1); {
	case n > 0:
		return
	case n < 0:
		panic("mtserver: frame released twice")
	}
	putMem(f.mem)
	f.data, f.mem = nil, nil
	f.quota.Release(f.size)
}
