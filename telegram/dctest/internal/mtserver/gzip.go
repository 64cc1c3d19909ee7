package mtserver

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"sync"
)

// errInflate says that a packed query is longer than allowed when unpacked.
var errInflate = errors.New("mtserver: packed query is too long")

// inflate unpacks a gzip or a zlib stream: clients send both. The result is at
// most limit bytes; memory is taken as the data comes, not on its word.
func inflate(packed []byte, limit int) ([]byte, error) {
	r, err := newInflater(packed)
	if err != nil {
		return nil, err
	}
	out, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err != nil {
		return nil, fmt.Errorf("mtserver: unpack query: %w", err)
	}
	if len(out) > limit {
		return nil, errInflate
	}
	return out, nil
}

func newInflater(packed []byte) (io.Reader, error) {
	in := bufio.NewReader(bytes.NewReader(packed))
	if magic, _ := in.Peek(2); len(magic) == 2 && magic[0] == 0x1f && magic[1] == 0x8b {
		r, err := gzip.NewReader(in)
		if err != nil {
			return nil, fmt.Errorf("mtserver: unpack query: %w", err)
		}
		return r, nil
	}
	r, err := zlib.NewReader(in)
	if err != nil {
		return nil, fmt.Errorf("mtserver: unpack query: %w", err)
	}
	return r, nil
}

// minGzip is the shortest answer that is packed.
const minGzip = 1024

var gzipWriters = sync.Pool{New: func() any {
	w, _ := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed) // the level is valid
	return w
}}

// pack compresses an answer, and reports whether that is worth it: it saves a
// tenth at least.
func pack(answer []byte) ([]byte, bool) {
	var out bytes.Buffer
	w := gzipWriters.Get().(*gzip.Writer)
	defer gzipWriters.Put(w)
	w.Reset(&out)
	if _, err := w.Write(answer); err != nil {
		return nil, false
	}
	if err := w.Close(); err != nil {
		return nil, false
	}
	return out.Bytes(), out.Len() < len(answer)*9/10
}
