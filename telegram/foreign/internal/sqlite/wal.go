package sqlite

import "encoding/binary"

const (
	walHeader   = 32
	frameHeader = 24
	walMagic    = 0x377f0682 // the last bit set: checksums are of big-endian numbers
	walVersion  = 3007000
)

// readLog takes the pages of a write-ahead log, up to its last transaction
// that is complete (format, 4). What follows was never committed; a log that
// belongs to another database, or to an earlier time of this one, has none.
func (d *DB) readLog(wal []byte) {
	if len(wal) < walHeader {
		return
	}
	word := func(b []byte) uint32 { return binary.BigEndian.Uint32(b) }
	if word(wal)&^1 != walMagic || word(wal[4:]) != walVersion || int(word(wal[8:])) != d.pageSize {
		return
	}
	sum := checksum{order: binary.LittleEndian}
	if word(wal)&1 == 1 {
		sum.order = binary.BigEndian
	}
	sum.add(wal[:24])
	if !sum.is(wal[24:]) {
		return
	}
	salts := wal[16:24]
	pending := map[int][]byte{}
	for rest := wal[walHeader:]; len(rest) >= frameHeader+d.pageSize; rest = rest[frameHeader+d.pageSize:] {
		page := rest[frameHeader : frameHeader+d.pageSize]
		sum.add(rest[:8])
		sum.add(page)
		if string(rest[8:16]) != string(salts) || !sum.is(rest[16:]) {
			return
		}
		pending[int(word(rest))] = page
		if size := word(rest[4:]); size != 0 {
			d.commit(pending, int(size))
			clear(pending)
		}
	}
}

// commit takes the pages of a transaction, after which the database has count pages.
func (d *DB) commit(pages map[int][]byte, count int) {
	if d.newer == nil {
		d.newer = map[int][]byte{}
	}
	for n, p := range pages {
		d.newer[n] = p
	}
	// Pages that are nowhere do not count: rows must not seem to fit into them.
	d.count = min(count, len(d.data)/d.pageSize+len(d.newer))
}

// A checksum is that of the log (format, 4.2): of pairs of numbers, over the
// header and all frames so far.
type checksum struct {
	order  binary.ByteOrder
	s0, s1 uint32
}

func (c *checksum) add(b []byte) {
	for ; len(b) >= 8; b = b[8:] {
		c.s0 += c.order.Uint32(b) + c.s1
		c.s1 += c.order.Uint32(b[4:]) + c.s0
	}
}

func (c *checksum) is(b []byte) bool {
	return binary.BigEndian.Uint32(b) == c.s0 && binary.BigEndian.Uint32(b[4:]) == c.s1
}
