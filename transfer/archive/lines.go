package archive

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxLine is the longest line of a manifest that is read. Names have at most
// some hundred bytes.
const maxLine = 1 << 20

var errLongLine = fmt.Errorf("longer than %d bytes", maxLine)

// eachLine calls use for every whole line: its number from 1, where it begins,
// and its bytes, which are used again; or nil if it is longer than limit. What
// follows the last end of a line is left out: it was being written when the
// program ended.
func eachLine(r io.Reader, limit int64, use func(n int, at int64, line []byte) error) error {
	br := bufio.NewReaderSize(r, 1<<16)
	var line []byte
	var at, length int64
	for n := 1; ; {
		b, err := br.ReadSlice('\n')
		if length += int64(len(b)); length <= limit {
			line = append(line, b...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if length > limit {
			line = nil
		}
		if err := use(n, at, line); err != nil {
			return err
		}
		n, at, length, line = n+1, at+length, 0, line[:0]
	}
}

// parseEntry reads a line of a manifest, and refuses one that makes no sense.
func parseEntry(line []byte) (e Entry, sum [32]byte, err error) {
	if line == nil {
		return e, sum, errLongLine
	}
	if err := json.Unmarshal(line, &e); err != nil {
		return e, sum, err
	}
	b, err := hex.DecodeString(e.SHA256)
	if err := e.checkPath(); err != nil {
		return e, sum, err
	}
	switch {
	case e.Size < 0:
		return e, sum, fmt.Errorf("size %d", e.Size)
	case err != nil || len(b) != len(sum):
		return e, sum, fmt.Errorf("%q is no SHA-256", e.SHA256)
	}
	return e, [32]byte(b), nil
}
