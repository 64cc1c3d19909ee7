package checkpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/dgraph-io/badger/v4/fb"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checkTables checks every byte of every table.
func (f *files) checkTables() error {
	for id, t := range f.tables {
		name := fmt.Sprintf("%06d.sst", id)
		b, err := os.ReadFile(filepath.Join(f.dir, name))
		if err != nil {
			return fmt.Errorf("checkpoint: %w", err)
		}
		t.newest, err = checkTable(b)
		switch {
		case err == nil:
		case t.listed:
			return damaged("%s: %v", name, err)
		default:
			t.there = false // it was being written when the program ended
		}
	}
	return nil
}

var errChecksum = errors.New("checksum mismatch")

// checkTable checks a table of Badger and returns its newest version. At its
// end are the index, the length of that, a checksum, and the length of that.
func checkTable(b []byte) (newest uint64, err error) {
	rest, sum, ok := cutTail(b)
	if !ok {
		return 0, errors.New("too short")
	}
	rest, index, ok := cutTail(rest)
	if !ok || !bytes.Equal(sum, checksum(index)) {
		return 0, fmt.Errorf("index: %w", errChecksum)
	}
	table := fb.GetRootAsTableIndex(index, 0)
	var block fb.BlockOffset
	for i := range table.OffsetsLength() {
		if !table.Offsets(&block, i) {
			return 0, fmt.Errorf("block %d: not in the index", i)
		}
		from, to := uint64(block.Offset()), uint64(block.Offset())+uint64(block.Len())
		if to > uint64(len(rest)) {
			return 0, fmt.Errorf("block %d: beyond the end", i)
		}
		if data, sum, ok := cutTail(rest[from:to]); !ok || !bytes.Equal(sum, checksum(data)) {
			return 0, fmt.Errorf("block %d: %w", i, errChecksum)
		}
	}
	return table.MaxVersion(), nil
}

// cutTail cuts off what stands before its own length at the end of b.
func cutTail(b []byte) (rest, tail []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n := binary.BigEndian.Uint32(b[len(b)-4:])
	b = b[:len(b)-4]
	if uint64(n) > uint64(len(b)) {
		return nil, nil, false
	}
	return b[:len(b)-int(n)], b[len(b)-int(n):], true
}

// checksum is what Badger writes behind data: a CRC-32C as the second field of
// a protocol buffer, whose first, the algorithm, is 0 and so left out.
func checksum(data []byte) []byte {
	sum := crc32.Checksum(data, castagnoli)
	if sum == 0 {
		return nil
	}
	return binary.AppendUvarint([]byte{2 << 3}, uint64(sum))
}

// logHeader is the length of what stands before the entries of a log: the
// number of a key, 0 since nothing is encrypted, and random bytes.
const logHeader = 20

// checkLogs checks the logs of what is in no table yet.
func (f *files) checkLogs() error {
	var newest uint64 // version that is known so far
	for _, t := range f.tables {
		if t.there && t.listed {
			newest = max(newest, t.newest)
		}
	}
	slices.SortFunc(f.logs, func(a, b string) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return bytes.Compare([]byte(a), []byte(b))
	})
	for i, name := range f.logs {
		path := filepath.Join(f.dir, name)
		b, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("checkpoint: %w", err)
		}
		if len(b) < logHeader || binary.BigEndian.Uint64(b) != 0 {
			return damaged("%s has no header", name)
		}
		end, version := readLog(b)
		f.versions = append(f.versions, version)
		newest = max(newest, version)
		tail := b[end:]
		if zeros, err := allZero(bytes.NewReader(tail)); zeros && err == nil {
			continue
		}
		// The last commit may have been under way when the program or the
		// machine ended. Anything more is damage.
		if later := newestIn(tail); later > newest+1 || i < len(f.logs)-1 {
			return damaged("%s: byte %d of %d", name, end, len(b))
		}
		if err := os.Truncate(path, int64(end)); err != nil {
			return fmt.Errorf("checkpoint: %w", err)
		}
	}
	return f.checkUnlisted()
}

// checkUnlisted looks at tables that the manifest does not list, which Badger
// removes. What was being written when the program ended has its records
// elsewhere too; else the manifest has lost its end.
func (f *files) checkUnlisted() error {
	for id, t := range f.tables {
		if t.listed || !t.there || slices.Contains(f.versions, t.newest) {
			continue
		}
		elsewhere := false
		for _, o := range f.tables {
			elsewhere = elsewhere || o.listed && o.newest >= t.newest
		}
		if !elsewhere {
			return damaged("table %d is in no list", id)
		}
	}
	return nil
}

// Bits of an entry's first byte.
const (
	entryInTxn  = 1 << 6
	entryEndTxn = 1 << 7
)

// readLog returns where the last whole commit of a log ends, and its version.
func readLog(b []byte) (end int, newest uint64) {
	end = logHeader
	for at, open := end, uint64(0); ; {
		e, ok := readEntry(b[at:])
		if !ok {
			return end, newest
		}
		at += e.length
		switch {
		case e.flags&entryEndTxn != 0:
			if open != e.version {
				return end, newest
			}
			end, newest, open = at, max(newest, e.version), 0
		case e.flags&entryInTxn != 0:
			if open != 0 && open != e.version {
				return end, newest
			}
			open = e.version
		case open != 0:
			return end, newest
		default:
			end, newest = at, max(newest, e.version)
		}
	}
}

// newestIn is the newest version of the entries that are somewhere in b.
func newestIn(b []byte) (newest uint64) {
	for at := 0; at < len(b); {
		e, ok := readEntry(b[at:])
		if !ok {
			at++
			continue
		}
		newest = max(newest, e.version)
		at += e.length
	}
	return newest
}

// An entry is an entry of a log. Only what is looked at is kept.
type entry struct {
	flags   byte
	version uint64
	length  int
}

// maxRecord bounds keys and values: all of this package's are far shorter.
const maxRecord = 1 << 20

// readEntry reads the entry at the beginning of b: flags, lengths of key and
// value, an expiry, key, value, and a CRC-32C. The key ends in its version.
func readEntry(b []byte) (e entry, ok bool) {
	if len(b) < 2 {
		return e, false
	}
	e.flags = b[0]
	at := 2
	var fields [3]uint64 // lengths of key and value, expiry
	for i := range fields {
		v, n := binary.Uvarint(b[at:])
		if n <= 0 {
			return e, false
		}
		fields[i] = v
		at += n
	}
	key, value := fields[0], fields[1]
	if key < 8 || key > math.MaxUint16 || value > maxRecord || uint64(len(b)-at) < key+value+crc32.Size {
		return e, false
	}
	end := at + int(key+value)
	e.version = math.MaxUint64 - binary.BigEndian.Uint64(b[at+int(key)-8:])
	e.length = end + crc32.Size
	return e, crc32.Checksum(b[:end], castagnoli) == binary.BigEndian.Uint32(b[end:])
}

// checkOthers checks the files of which nothing is used.
func (f *files) checkOthers() error {
	for _, name := range f.values { // records are too short for them
		if empty, err := f.emptyLog(name); err != nil {
			return fmt.Errorf("checkpoint: %w", err)
		} else if !empty {
			return damaged("%s is not empty", name)
		}
	}
	if b, err := os.ReadFile(filepath.Join(f.dir, "KEYREGISTRY")); err == nil {
		if len(b) != 16+len(registryText) || string(b[16:]) != registryText {
			return damaged("KEYREGISTRY")
		}
	}
	// Statistics about value logs. Badger trusts them, and makes new ones.
	discard := filepath.Join(f.dir, "DISCARD")
	file, err := os.Open(discard)
	if err != nil {
		return nil
	}
	empty, err := allZero(file)
	if err := errors.Join(err, file.Close()); err != nil || empty {
		return nil
	}
	if err := os.Remove(discard); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return nil
}

// emptyLog tells whether a value log has a header and no records.
func (f *files) emptyLog(name string) (bool, error) {
	file, err := os.Open(filepath.Join(f.dir, name))
	if err != nil {
		return false, err
	}
	defer file.Close() //nolint:errcheck // it was only read
	var head [logHeader]byte
	if _, err := io.ReadFull(file, head[:]); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	if binary.BigEndian.Uint64(head[:]) != 0 {
		return false, nil
	}
	return allZero(file)
}

// allZero tells whether r brings nothing but zeros. A store that was just made
// has megabytes of them, and each start looks.
func allZero(r io.Reader) (bool, error) {
	b := make([]byte, 128<<10)
	b, zeros := b[:len(b)/2], b[len(b)/2:]
	for {
		n, err := r.Read(b)
		switch {
		case !bytes.Equal(b[:n], zeros[:n]):
			return false, nil
		case errors.Is(err, io.EOF):
			return true, nil
		case err != nil:
			return false, err
		}
	}
}

// registryText stands behind 16 random bytes in the list of keys, which has none.
const registryText = "Hello Badger"
