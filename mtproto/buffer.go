package mtproto

import (
	"sync"
	"sync/atomic"
)

// frameClasses are the sizes that buffers are pooled in: small answers, and
// parts of 64 KiB to 1 MiB with what stands around them.
var frameClasses = [...]int{4 << 10, 68 << 10, 260 << 10, 1028 << 10}

// A framePool hands out buffers for received frames and takes them back.
type framePool struct {
	pools [len(frameClasses)]sync.Pool
	inUse atomic.Int64 // frames not given back
}

// A frame is one received frame's buffer. Everything decoded from it aliases
// it, so it goes back to the pool when the last holder lets go.
type frame struct {
	mem     []byte
	class   int
	holders atomic.Int32
	lost    atomic.Bool // memory of it lives on elsewhere: not to be reused
	pool    *framePool
}

// get returns a frame with one holder and room for n bytes.
func (p *framePool) get(n int) *frame {
	p.inUse.Add(1)
	for class, size := range frameClasses {
		if n > size {
			continue
		}
		f, ok := p.pools[class].Get().(*frame)
		if !ok {
			f = &frame{mem: make([]byte, size), class: class, pool: p}
		}
		f.holders.Store(1)
		return f
	}
	f := &frame{mem: make([]byte, n), class: -1, pool: p}
	f.holders.Store(1)
	return f
}

func (f *frame) hold() { f.holders.Add(1) }

func (f *frame) release() {
	switch n := f.holders.Add(-1); {
	case n < 0:
		panic("mtproto: frame released too often")
	case n > 0:
		return
	}
	f.pool.inUse.Add(-1)
	if f.class >= 0 && !f.lost.Load() {
		f.pool.pools[f.class].Put(f)
	}
}

// A Response is the answer to a call. Its holder owns the buffer underneath
// until Release, which must be called exactly once; after it, neither Body nor
// anything decoded from it may be used.
type Response struct {
	body  []byte
	frame *frame // nil if body has memory of its own
	done  atomic.Bool
}

// NewResponse returns a response that owns body, for other implementations of Invoker.
func NewResponse(body []byte) *Response { return &Response{body: body} }

// Body is the boxed answer, with gzip undone.
func (r *Response) Body() []byte { return r.body }

// Release gives the buffer back. Calling it twice panics.
func (r *Response) Release() {
	if r.done.Swap(true) {
		panic("mtproto: Response released twice")
	}
	if r.frame != nil {
		r.frame.release()
	}
}

// detach leaves the buffer to whoever decoded from it: it never returns to the pool.
func (r *Response) detach() {
	if r.done.Swap(true) {
		panic("mtproto: Response released twice")
	}
	if r.frame != nil {
		r.frame.abandon()
	}
}

// abandon drops one holder for good: the frame is not reused after it.
func (f *frame) abandon() {
	f.lost.Store(true)
	f.release()
}
