package checkpoint

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// A Batch collects changes that become durable together, by Commit. They
// apply in the order in which they were added. The zero value is empty. It is
// not safe for concurrent use.
type Batch struct {
	ops []op
}

// op is one change. Besides the kind it has what kind says. Most are marks,
// which have no record, so that they are short.
type op struct {
	kind   opKind
	key    Key
	upload UploadKey
	part   int
	crc    uint32
	*record
}

// record is what is recorded. It is never changed.
type record struct {
	download Download
	done     Done
	up       Upload
	wait     Wait
	limit    Limit
	job      Job
	sent     Sent
	forward  Forward
}

type opKind uint8

const (
	opBegin opKind = iota
	opMark
	opUnmark
	opDone
	opForget
	opUpload
	opSent
	opUnsent
	opForgetUpload
	opWait
	opLimit
	opJob
	opForgetJob
	opForgetSent
	opFinishUpload
	opForward
)

// Begin records that a download is under way. Parts marked for the key
// before are forgotten.
func (b *Batch) Begin(k Key, d Download) {
	b.add(op{kind: opBegin, key: k, record: &record{download: d}})
}

// Mark records that a part is on disk, with its CRC-32C. Its bytes must be
// synced already.
func (b *Batch) Mark(k Key, part int, crc uint32) {
	b.add(op{kind: opMark, key: k, part: part, crc: crc})
}

// Unmark takes back a Mark.
func (b *Batch) Unmark(k Key, part int) { b.add(op{kind: opUnmark, key: k, part: part}) }

// Finish replaces the record of an unfinished download by that of a finished
// one. Its marks stay, as the file's checksums, if d.PartSize is that of the
// unfinished download.
func (b *Batch) Finish(k Key, d Done) { b.add(op{kind: opDone, key: k, record: &record{done: d}}) }

// Forget removes everything known of a download.
func (b *Batch) Forget(k Key) { b.add(op{kind: opForget, key: k}) }

// PutUpload records an upload. Its marked parts stay as they are.
func (b *Batch) PutUpload(k UploadKey, u Upload) {
	b.add(op{kind: opUpload, upload: k, record: &record{up: u}})
}

// Sent records that the server has confirmed a part.
func (b *Batch) Sent(k UploadKey, part int) { b.add(op{kind: opSent, upload: k, part: part}) }

// Unsent takes back a Sent.
func (b *Batch) Unsent(k UploadKey, part int) { b.add(op{kind: opUnsent, upload: k, part: part}) }

// ForgetUpload removes everything known of an upload.
func (b *Batch) ForgetUpload(k UploadKey) { b.add(op{kind: opForgetUpload, upload: k}) }

// PutWait records a flood wait.
func (b *Batch) PutWait(w Wait) { b.add(op{kind: opWait, record: &record{wait: w}}) }

// PutLimit records what has been learned of a limit, in place of what was
// recorded of it before.
func (b *Batch) PutLimit(l Limit) { b.add(op{kind: opLimit, record: &record{limit: l}}) }

// Len is how many changes the batch has.
func (b *Batch) Len() int { return len(b.ops) }

// Reset empties the batch. It keeps its room, and none of what was in it.
func (b *Batch) Reset() {
	clear(b.ops)
	b.ops = b.ops[:0]
}

// Append adds the changes of another batch.
func (b *Batch) Append(o *Batch) { b.ops = append(b.ops, o.ops...) }

// Clone is a copy that shares nothing with b.
func (b *Batch) Clone() *Batch { return &Batch{ops: slices.Clone(b.ops)} }

func (b *Batch) add(o op) { b.ops = append(b.ops, o) }

// TargetOf is the number by which keys know a folder or a source: a hash of
// its absolute path.
func TargetOf(path string) uint64 {
	sum := sha256.Sum256([]byte(path))
	return binary.BigEndian.Uint64(sum[:])
}
