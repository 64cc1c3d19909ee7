package transfer

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
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

	partSize int // set by open, like the following
	sink     *sink
	hash     *frontier
	begin    sync.Once // records the download before its first mark

	mu   sync.Mutex
	file telegram.File // with the newest reference
	cdn  cdnState
}

func newDownload(r *run, d Download) job {
	name := d.Path
	if name == "" {
		name = SafeName(d.File.Name)
	}
	j := &download{run: r, d: d, path: name, size: d.File.Size, file: d.File}
	if d.Dir != nil {
		j.key = keyOf(d)
	}
	return j
}

// keyOf is what the checkpoint knows the download by.
func keyOf(d Download) checkpoint.Key {
	dir, err := filepath.Abs(d.Dir.Name())
	if err != nil {
		dir = d.Dir.Name()
	}
	return checkpoint.Key{
		Target: checkpoint.TargetOf(dir), Chat: d.File.Origin.Peer.MarkedID(),
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
	if _, err := d.d.Dir.Lstat(d.path); err == nil {
		return d.adopt(ctx, record, known)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return opened{}, err
	}
	return d.openPart(ctx, record, known)
}

// isComplete reports whether a finished download still lies where it was put.
func (d *download) isComplete(done checkpoint.Done) bool {
	if done.Path != d.path || done.Size != d.size {
		return false
	}
	fi, err := d.d.Dir.Lstat(d.path)
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
	s, err := openSink(d.d.Dir, d.path, d.size)
	if err != nil {
		return opened{}, err
	}
	d.sink = s
	d.hash = newFrontier(s.file, d.size, d.partSize)
	if !known || len(record.Parts) == 0 {
		if err := s.clear(); err != nil {
			return opened{}, err
		}
		return opened{parts: d.parts(nil)}, nil
	}
	d.begin.Do(func() {}) // it is recorded already
	return d.resume(ctx, s.file, record)
}

// resume reads the marked parts again. Only those whose bytes have the
// checksum of their mark are believed.
func (d *download) resume(ctx context.Context, file *os.File, record checkpoint.Download) (opened, error) {
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
		if _, err := file.ReadAt(b, d.offset(n)); err != nil || crc32.Checksum(b, castagnoli) != crc {
			bad = append(bad, n)
			o.repeated++
			o.resent += int64(len(b))
			continue
		}
		good[n] = true
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

// adopt looks at a file that has the final name already. It is ours if the
// program ended between giving it the name and recording that: then every part
// is marked, and all of them are right.
func (d *download) adopt(ctx context.Context, record checkpoint.Download, known bool) (opened, error) {
	taken := fmt.Errorf("%w: %s", ErrExists, d.path)
	if !known || len(record.Parts) != d.count() {
		return opened{}, taken
	}
	if fi, err := d.d.Dir.Lstat(d.path); err != nil || !fi.Mode().IsRegular() || fi.Size() != d.size {
		return opened{}, taken
	}
	f, err := d.d.Dir.Open(d.path)
	if err != nil {
		return opened{}, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	d.hash = newFrontier(f, d.size, d.partSize)
	o, err := d.resume(ctx, f, record)
	if err != nil {
		return opened{}, err
	}
	if len(o.parts) > 0 {
		return opened{}, taken
	}
	sum, err := d.hash.result(ctx)
	if err != nil {
		return opened{}, err
	}
	res := d.result(sum)
	return opened{done: &res}, d.record(sum)
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
	if err := d.run.commits.wait(d.sink, d.markBegun); err != nil {
		return FileResult{}, err
	}
	sum, err := d.hash.result(ctx)
	if err != nil {
		return FileResult{}, fmt.Errorf("hash: %w", err)
	}
	if d.run.o.VerifyServer {
		if err := d.verifyServer(ctx); err != nil {
			return FileResult{}, err
		}
	}
	if err := d.sink.publish(); err != nil {
		return FileResult{}, err
	}
	if err := d.record(sum); err != nil {
		return FileResult{}, err
	}
	res := d.result(sum)
	return res, d.run.tell(d, res)
}

// record has the finished file recorded, once its name is durable.
func (d *download) record(sum [32]byte) error {
	dir := folder{d.d.Dir, pathDir(d.path)}
	return d.run.commits.wait(dir, func(b *checkpoint.Batch) {
		b.Finish(d.key, checkpoint.Done{Path: d.path, Size: d.size, SHA256: sum, At: time.Now().UTC()})
	})
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
	if d.sink != nil {
		_ = d.sink.close() // what matters was synced
	}
}
