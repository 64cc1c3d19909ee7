package transfer

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/scheduler"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/tl/api"
)

// minPartSize is the smallest limit that upload.getFile takes without "precise".
const minPartSize = 4 << 10

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A download is the job of one file to fetch.
type download struct {
	run  *run
	d    Download
	path string
	key  checkpoint.Key
	size int64

	dir       folder // where it goes; zero if it goes nowhere
	openings  atomic.Int32
	partSize  int // set by open, like the following
	sink      *sink
	found     file // bears the final name already and has to be proven; then there is no sink
	foundOurs bool // an earlier run has begun it under its present path
	hash      *frontier
	salvaged  bool      // of a repair: not all parts were fetched in this run
	distrusts bool      // of a repair: nothing is salvaged any more
	begin     sync.Once // records the download before its first mark

	mu       sync.Mutex
	file     telegram.File              // with the newest reference
	location api.InputFileLocationClass // of file; nil: not made yet. It is never changed, only replaced
	cdn      cdnState
}

func newDownload(r *run, d Download) job {
	name := d.Path
	if name == "" {
		name = SafeName(d.File.Name)
	}
	j := &download{run: r, d: d, path: name, size: d.File.Size, file: d.File}
	if d.Dir != nil {
		j.dir = folder{fs: r.fs(d.Dir), name: pathDir(name), above: &r.durable}
		if j.key = keyOf(d); d.Repair != nil {
			j.key = repairKeyOf(d)
		}
	}
	return j
}

// keyOf is what the checkpoint knows the download by.
func keyOf(d Download) checkpoint.Key { return keyFor(d, "") }

// keyFor is the key of what is done to the file; "" means an ordinary download.
func keyFor(d Download, what string) checkpoint.Key {
	dir, err := filepath.Abs(d.Dir.Name())
	if err != nil {
		dir = d.Dir.Name()
	}
	if d.File.IsThumb {
		what += "\x00thumb"
	}
	return checkpoint.Key{
		Target: checkpoint.TargetOf(dir + what), Chat: d.File.Origin.Peer.MarkedID(),
		Message: d.File.Origin.MessageID, Document: d.File.ID,
	}
}

func (d *download) info() jobInfo {
	return jobInfo{id: d.d.File.ID, path: d.path, size: d.size, dc: d.d.File.DC, origin: d.d.File.Origin}
}

func (d *download) route() scheduler.Route {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.masterRouteLocked()
}

// masterRouteLocked is the route to the DC that has the file itself.
func (d *download) masterRouteLocked() scheduler.Route {
	return scheduler.Route{DC: d.file.DC, Use: scheduler.Download, Method: getFileMethod}
}

// locationLocked is where the file is, for its requests.
func (d *download) locationLocked() api.InputFileLocationClass {
	if d.location == nil {
		d.location = d.file.Location()
	}
	return d.location
}

// moved takes in where the file is now.
func (d *download) moved(dc int) {
	d.mu.Lock()
	d.file.DC = dc
	d.mu.Unlock()
}

var getFileMethod = (*api.UploadGetFileRequest)(nil).TypeName()

// check refuses what must not, or cannot, be fetched.
func (d *download) check() error {
	f := &d.d.File
	switch {
	case f.NoForwards:
		return ErrProtected
	case f.Err != nil:
		return f.Err
	case f.Size < 0 || f.Size > telegram.MaxFileSize:
		return fmt.Errorf("%w: %d bytes", ErrSize, f.Size)
	case d.d.Dir == nil:
		return fmt.Errorf("%w: no folder", errPath)
	}
	return checkPath(d.path)
}

func (d *download) open(ctx context.Context) (opened, error) {
	if err := d.check(); err != nil {
		return opened{}, err
	}
	if d.openings.Add(1) > 1 {
		// What is still to be marked of it has to be, before the file is closed, which
		// the committer syncs, and before what is marked is looked up.
		err := d.run.commits.wait(nil, func(*checkpoint.Batch) {})
		d.close()
		if err != nil {
			return opened{}, err
		}
	}
	if d.d.Repair != nil {
		return d.openRepair(ctx)
	}
	cp := d.run.o.Checkpoint
	done, found, err := cp.Done(d.key)
	if err != nil {
		return opened{}, err
	}
	if found && d.isComplete(done) {
		res := d.result(done.SHA256)
		return opened{done: &res}, nil
	}
	record, known, err := cp.Download(d.key)
	if err != nil {
		return opened{}, err
	}
	known = known && record.Path == d.path && record.Size == d.size && validPartSize(record.PartSize)
	if d.partSize = partSizeFor(d.size, d.run.o.PartSize); known {
		d.partSize = record.PartSize
	}
	if _, err := d.dir.fs.Lstat(d.path); err == nil {
		return d.find(ctx, record, known)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return opened{}, err
	}
	if o, err := d.openLocal(ctx); err != nil || o.done != nil {
		return o, err
	}
	return d.openPart(ctx, record, known)
}

// isComplete reports whether a finished download still lies where it was put.
func (d *download) isComplete(done checkpoint.Done) bool {
	if done.Path != d.path || done.Size != d.size {
		return false
	}
	if done.Within != "" && checkPath(done.Within) == nil {
		if fi, err := d.dir.fs.Lstat(done.Within); err == nil && fi.Mode().IsRegular() && fi.Size() >= done.Offset+done.Size {
			return true
		}
	}
	fi, err := d.dir.fs.Lstat(d.path)
	return err == nil && fi.Mode().IsRegular() && fi.Size() == d.size
}

// partSizeFor is the part size of a file: the usual one, or for small files
// the smallest that takes the whole file at once.
func partSizeFor(size int64, usual int) int {
	for p := minPartSize; p < usual; p *= 2 {
		if size <= int64(p) {
			return p
		}
	}
	return usual
}

func validPartSize(n int) bool { return n >= minPartSize && n <= MaxPartSize && n&(n-1) == 0 }

// openPart opens the unfinished file and proves what is in it.
func (d *download) openPart(ctx context.Context, record checkpoint.Download, known bool) (opened, error) {
	opening := int(d.openings.Load())
	s, err := openSink(d.dir, d.path, d.size)
	if err == nil && opening > 1 {
		err = s.enterAgain()
	}
	if err != nil {
		return opened{}, checkTarget(d.dir.fs, err)
	}
	d.sink = s
	s.modTime = d.d.ModTime
	s.onLost = func(err error) { d.run.post(func() { d.run.sinkLost(d, opening, err) }) }
	if d.d.Repair != nil {
		d.hash = d.run.newFrontier(s.file, d.size, d.partSize)
	} else {
		d.hash = d.run.frontierOf(s.file, d.size, d.partSize)
	}
	if !known || len(record.Parts) == 0 {
		return d.openUnmarked(ctx)
	}
	d.begin.Do(func() {}) // it is recorded already
	return d.resume(ctx, s.file, record)
}

// resume reads the marked parts again. Only those whose bytes have the
// checksum of their mark are believed.
func (d *download) resume(ctx context.Context, f file, record checkpoint.Download) (opened, error) {
	var o opened
	good := make(map[int]bool)
	var bad []int
	buf := make([]byte, d.partSize)
	for n := range d.count() {
		crc, marked := record.Parts[n]
		if !marked {
			continue
		}
		if err := ctx.Err(); err != nil {
			return o, err
		}
		b := buf[:d.length(n)]
		if _, err := f.ReadAt(b, d.offset(n)); err != nil || crc32.Checksum(b, castagnoli) != crc {
			bad = append(bad, n)
			o.repeated++
			o.resent += int64(len(b))
			continue
		}
		good[n] = true
		o.have++
		o.resumed += int64(len(b))
		d.hash.offer(n, b)
	}
	if len(bad) > 0 {
		d.run.commits.do(func(b *checkpoint.Batch) {
			for _, n := range bad {
				b.Unmark(d.key, n)
			}
		})
	}
	o.parts = d.parts(good)
	return o, nil
}

// parts are all parts but those that are good.
func (d *download) parts(good map[int]bool) []scheduler.Part {
	parts := make([]scheduler.Part, 0, d.count()-len(good))
	for n := range d.count() {
		if !good[n] {
			parts = append(parts, scheduler.Part{N: n, Size: int64(d.length(n))})
		}
	}
	return parts
}

// count is how many parts the file has, offset and length where one lies.
func (d *download) count() int {
	return int((d.size + int64(d.partSize) - 1) / int64(d.partSize))
}
func (d *download) offset(n int) int64 { return int64(n) * int64(d.partSize) }
func (d *download) length(n int) int   { return int(min(int64(d.partSize), d.size-d.offset(n))) }

// finish completes a file whose parts are all written: it has them marked,
// proves size and hash, and only then gives the file its name and records that.
func (d *download) finish(ctx context.Context) (FileResult, error) {
	if d.found != nil {
		res, err := d.adopt(ctx)
		if err != nil {
			return FileResult{}, err
		}
		return res, d.run.tell(d, res)
	}
	if err := d.run.commits.wait(d.sink, d.markBegun); err != nil {
		return FileResult{}, err
	}
	sum, err := d.hash.result(ctx)
	if err != nil {
		return FileResult{}, lost(fmt.Errorf("hash: %w", err))
	}
	if d.d.Repair != nil {
		return d.finishRepair(sum)
	}
	if d.run.o.VerifyServer {
		if err := d.verifyServer(ctx); err != nil {
			return FileResult{}, err
		}
	}
	if err := d.run.whenRoom(d.sink.publish); err != nil {
		return FileResult{}, err
	}
	if err := d.record(d.sink.entry, sum); err != nil {
		if loss := (*lostError)(nil); errors.As(err, &loss) {
			err = errors.Join(err, d.sink.unpublish())
		}
		return FileResult{}, err
	}
	res := d.result(sum)
	return res, d.run.tell(d, res)
}

// record has the finished file recorded, once its name is durable.
func (d *download) record(entry link, sum [32]byte) error {
	return d.run.commits.wait(entry, func(b *checkpoint.Batch) {
		b.Finish(d.key, d.done(sum))
	})
}

func (d *download) done(sum [32]byte) checkpoint.Done {
	return checkpoint.Done{Path: d.path, Size: d.size, SHA256: sum, At: time.Now().UTC(), PartSize: d.partSize}
}

// markBegun records the download, if that has not been done. Only the
// committer calls it.
func (d *download) markBegun(b *checkpoint.Batch) {
	d.begin.Do(func() {
		b.Begin(d.key, checkpoint.Download{Path: d.path, Size: d.size, PartSize: d.partSize})
	})
}

func (d *download) result(sum [32]byte) FileResult {
	f := &d.d.File
	return FileResult{ID: f.ID, Origin: f.Origin, Path: d.path, Size: d.size, SHA256: sum, Date: f.Date}
}

func (d *download) finished(res FileResult) error {
	if d.d.Finished == nil {
		return nil
	}
	return d.d.Finished(res)
}

func (d *download) close() {
	d.hash.close()
	if d.sink != nil {
		_ = d.sink.close() // what matters was synced
		d.sink = nil
	}
	if d.found != nil {
		_ = d.found.Close() // it was only read
		d.found = nil
	}
}
