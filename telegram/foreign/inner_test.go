package foreign

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
)

// FuzzTdataInner gives the parsers of what lies under the seal anything.
func FuzzTdataInner(f *testing.F) {
	good := binary.BigEndian.AppendUint64(nil, 1<<64-1) // user and DC -1: the current form
	good = binary.BigEndian.AppendUint64(good, 42)
	good = append(good, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2)
	f.Add(append(good, bytes.Repeat([]byte{7}, 256)...))
	f.Add([]byte{0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseMTP(b)
		switch {
		case err == nil && (s.Keys[s.DC] == nil || s.UserID <= 0 || len(s.Keys)*256 > len(b)):
			t.Fatalf("accepted %v", s)
		case err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrEmpty):
			t.Fatalf("an error of no kind: %v", err)
		}
		if list, err := parseIndexes(b); err == nil && len(list)*4 > len(b) {
			t.Fatalf("%d accounts out of %d bytes", len(list), len(b))
		}
		if out, ok := expandZeros(b, maxText); ok && len(out) > maxText {
			t.Fatalf("%d bytes", len(out))
		}
	})
}
