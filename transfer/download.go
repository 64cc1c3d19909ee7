package transfer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path"
	"path/filepath"
	"sync"
	"time"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/scheduler"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/tl/api"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A download is the job of one file to fetch.
type download struct {
	r        *run
	d        Download
	path     string
	key      checkpoint.Key
	partSize int
	sink     *sink // nil before open
	front    *frontier
	cdn      cdnState

	mu   sync.Mutex
	file telegram.File // its reference changes
}

func newDownload(r *run, d Download) job {
	j := &download{r: r, d: d, path: d.Path, file: d.File, partSize: r.o.PartSize}
	if j.path == "" {
		j.path = SafeName(d.File.Name)
	}
	j.key = checkpoint.Key{
		Target: targetOf(d.Dir.Name()), Chat: d.File.Origin.Peer.MarkedID(),
		Message: d.File.Origin.MessageID, Document: d.File.ID,
	}
	return j
}

// targetOf is the number of a folder, by whatever name it is reached.
func targetOf(dir string) uint64 {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	return checkpoint.TargetOf(dir)
}

func (j *download) current() telegram.File {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.file
}

func (j *download) info() jobInfo {
	f := j.d.File
	return jobInfo{id: f.ID, path: j.path, size: f.Size, dc: f.DC, origin: f.Origin}
}

func (j *download) route() scheduler.Route {
	return scheduler.Route{DC: j.d.File.DC, Use: scheduler.Download, Method: "upload.getFile"}
}

func (j *download) check() error {
	f := &j.d.File
	switch {
	case f.Err != nil:
		return f.Err
	case f.NoForwards:
		return ErrProtected
	case f.Size < 0 || f.Size > telegram.MaxFileSize:
		return fmt.Errorf("%w: %d bytes", ErrSize, f.Size)
	}
	return checkPath(j.path)
}

// open finds out what is on disk: the file itself, parts that the checkpoint
// knows and whose CRC proves them, or nothing.
func (j *download) open(ctx context.Context) (opened, error) {
	if err := j.check(); err != nil {
		return opened{}, err
	}
	if done, err := j.finishedBefore(); done != nil || err != nil {
		return opened{done: done}, err
	}
	rec, found, err := j.r.o.Checkpoint.Download(j.key)
	if err != nil && !errors.Is(err, checkpoint.ErrRecord) {
		return opened{}, err
	}
	if _, err := j.d.Dir.Lstat(j.path); err == nil {
		return j.adopt(ctx, rec, found)
	}
	if j.sink, err = openSink(j.d.Dir, j.path, j.d.File.Size); err != nil {
		return opened{}, err
	}
	usable := found && err == nil && rec.Size == j.d.File.Size && rec.Path == j.path && rec.PartSize > 0
	if usable {
		j.partSize = rec.PartSize
	}
	j.front = newFrontier(j.sink.file, j.d.File.Size, j.partSize)
	if usable {
		return j.resume(ctx, rec)
	}
	if err := j.sink.clear(); err != nil {
		return opened{}, err
	}
	// The record comes before the first mark.
	err = j.r.commits.wait(nil, func(b *checkpoint.Batch) {
		b.Begin(j.key, checkpoint.Download{Path: j.path, Size: j.d.File.Size, PartSize: j.partSize})
	})
	return opened{parts: j.missing(nil)}, err
}

// finishedBefore finds the file of an earlier run.
func (j *download) finishedBefore() (*FileResult, error) {
	done, found, err := j.r.o.Checkpoint.Done(j.key)
	if err != nil || !found || done.Size != j.d.File.Size {
		return nil, err
	}
	fi, err := j.d.Dir.Lstat(done.Path)
	if err != nil || !fi.Mode().IsRegular() || fi.Size() != done.Size {
		return nil, nil //nolint:nilerr // it is gone: fetch it again
	}
	res := j.result(done.SHA256)
	res.Path = done.Path
	return &res, nil
}

// adopt takes a file that has its final name already, if a crash has lost the
// record of that: every part of it must have been marked, and be right.
func (j *download) adopt(ctx context.Context, rec checkpoint.Download, found bool) (opened, error) {
	taken := fmt.Errorf("%w: %s", ErrExists, j.path)
	if !found || rec.Path != j.path || rec.Size != j.d.File.Size || rec.PartSize <= 0 {
		return opened{}, taken
	}
	f, err := j.d.Dir.Open(j.path)
	if err != nil {
		return opened{}, err
	}
	defer f.Close() //nolint:errcheck // only read
	sum := sha256.New()
	buf := make([]byte, rec.PartSize)
	for n := range partCount(rec.Size, rec.PartSize) {
		b := buf[:partLen(rec.Size, rec.PartSize, n)]
		if _, err := io.ReadFull(f, b); err != nil || ctx.Err() != nil {
			return opened{}, errors.Join(taken, ctx.Err())
		}
		if crc, marked := rec.Parts[n]; !marked || crc != crc32.Checksum(b, castagnoli) {
			return opened{}, taken
		}
		sum.Write(b)
	}
	if n, _ := f.Read(buf[:1]); n != 0 {
		return opened{}, taken
	}
	res := j.result([32]byte(sum.Sum(nil)))
	return opened{done: &res}, j.record(res)
}

// resume proves the marked parts and says which are missing.
func (j *download) resume(ctx context.Context, rec checkpoint.Download) (opened, error) {
	var o opened
	buf := make([]byte, j.partSize)
	have := make(map[int]bool, len(rec.Parts))
	for n := range partCount(rec.Size, j.partSize) {
		crc, marked := rec.Parts[n]
		if !marked {
			continue
		}
		if err := ctx.Err(); err != nil {
			return o, err
		}
		b := buf[:partLen(rec.Size, j.partSize, n)]
		_, err := j.sink.file.ReadAt(b, int64(n)*int64(j.partSize))
		if err != nil || crc32.Checksum(b, castagnoli) != crc {
			o.repeated++
			o.resent += int64(len(b))
			j.r.commits.do(func(batch *checkpoint.Batch) { batch.Unmark(j.key, n) })
			continue
		}
		have[n] = true
		o.resumed += int64(len(b))
		j.front.offer(n, b)
	}
	o.parts = j.missing(have)
	return o, nil
}

func (j *download) missing(have map[int]bool) []scheduler.Part {
	var parts []scheduler.Part
	for n := range partCount(j.d.File.Size, j.partSize) {
		if !have[n] {
			parts = append(parts, scheduler.Part{N: n, Size: partLen(j.d.File.Size, j.partSize, n)})
		}
	}
	return parts
}

func partCount(size int64, partSize int) int {
	return int((size + int64(partSize) - 1) / int64(partSize))
}

func partLen(size int64, partSize, n int) int64 {
	return min(int64(partSize), size-int64(n)*int64(partSize))
}

// move asks for a part and checks what comes.
func (j *download) move(ctx context.Context, s scheduler.Send) (payload, error) {
	if s.Route.Use == scheduler.CDN {
		return j.moveCDN(ctx, s)
	}
	conn, err := j.r.session(ctx, s.Route, s.Conn)
	if err != nil {
		return nil, err
	}
	file := j.current()
	offset := int64(s.Part.N) * int64(j.partSize)
	q := &api.UploadGetFileRequest{
		CdnSupported: !j.cdn.refused(), Location: file.Location(), Offset: offset, Limit: int32(j.partSize),
	}
	resp, err := conn.Invoke(ctx, q)
	if err != nil {
		return nil, err
	}
	answer, err := decode(q, resp.Body())
	if err != nil {
		resp.Release()
		return nil, err
	}
	switch a := answer.(type) {
	case *api.UploadFile:
		return j.piece(s.Part, offset, a.Bytes, resp)
	case *api.UploadFileCdnRedirect:
		defer resp.Release()
		return nil, &rerouteError{to: j.cdn.redirect(a)}
	default:
		resp.Release()
		return nil, &answerError{method: q.TypeName(), err: fmt.Errorf("unexpected %s", answer.TypeName())}
	}
}

// piece makes a payload of a part's bytes, if they are as many as they must be.
// A short answer is no end of the file.
func (j *download) piece(p scheduler.Part, offset int64, b []byte, resp Response) (payload, error) {
	switch {
	case int64(len(b)) < p.Size:
		resp.Release()
		return nil, fmt.Errorf("%w: %d of %d bytes at %d", ErrShort, len(b), p.Size, offset)
	case int64(len(b)) > p.Size:
		resp.Release()
		return nil, fmt.Errorf("%w: %d instead of %d bytes at %d", ErrLong, len(b), p.Size, offset)
	}
	return &piece{j: j, n: p.N, offset: offset, data: b, resp: resp}, nil
}

// A piece is a part's bytes, in the buffer in which they arrived.
type piece struct {
	j      *download
	n      int
	offset int64
	data   []byte
	resp   Response
}

func (p *piece) size() int64 { return int64(len(p.data)) }
func (p *piece) release()    { p.resp.Release() }

func (p *piece) store() error {
	if err := p.j.sink.writeAt(p.data, p.offset); err != nil {
		return err
	}
	crc := crc32.Checksum(p.data, castagnoli)
	p.j.front.offer(p.n, p.data)
	p.j.r.commits.mark(p.j.sink, p.size(), func(b *checkpoint.Batch) { b.Mark(p.j.key, p.n, crc) })
	return nil
}

// stored hashes what can be hashed by now. An error shows again in finish.
func (p *piece) stored() { _ = p.j.front.catchUp(p.j.r.ctx()) }

// finish hashes, syncs, renames and records, in this order.
func (j *download) finish(ctx context.Context) (FileResult, error) {
	sum, err := j.front.result(ctx)
	if err != nil {
		return FileResult{}, fmt.Errorf("hash: %w", err)
	}
	if j.r.o.VerifyServer {
		if err := j.verify(ctx); err != nil {
			return FileResult{}, err
		}
	}
	if date := j.d.File.Date; !date.IsZero() {
		_ = j.d.Dir.Chtimes(j.path+partSuffix, date, date) // a courtesy
	}
	if err := j.r.commits.wait(j.sink, func(*checkpoint.Batch) {}); err != nil {
		return FileResult{}, err
	}
	if err := j.sink.publish(); err != nil {
		return FileResult{}, err
	}
	res := j.result(sum)
	if err := j.record(res); err != nil {
		return FileResult{}, err
	}
	j.r.finMu.Lock()
	defer j.r.finMu.Unlock()
	return res, j.finished(res)
}

// record makes the name durable and then says that the file is done.
func (j *download) record(res FileResult) error {
	return j.r.commits.wait(folder{j.d.Dir, path.Dir(j.path)}, func(b *checkpoint.Batch) {
		b.Finish(j.key, checkpoint.Done{Path: j.path, Size: res.Size, SHA256: res.SHA256, At: time.Now()})
	})
}

func (j *download) result(sum [32]byte) FileResult {
	f := j.d.File
	return FileResult{ID: f.ID, Origin: f.Origin, Path: j.path, Size: f.Size, SHA256: sum, Date: f.Date}
}

// verify compares the file with the hashes that the server has of it.
func (j *download) verify(ctx context.Context) error {
	conn, err := j.r.session(ctx, j.route(), 0)
	if err != nil {
		return err
	}
	for offset := int64(0); offset < j.d.File.Size; {
		file := j.current()
		var hashes []api.FileHash
		err := call(ctx, conn, &api.UploadGetFileHashesRequest{Location: file.Location(), Offset: offset}, func(list []api.FileHash) error {
			for _, h := range list {
				h.Hash = bytes.Clone(h.Hash)
				hashes = append(hashes, h)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("server hashes at %d: %w", offset, err)
		}
		next := offset
		for _, h := range hashes {
			if h.Offset < 0 || h.Limit <= 0 || h.Offset > j.d.File.Size-int64(h.Limit) {
				return fmt.Errorf("%w: hash of a range outside of the file", ErrHash)
			}
			sum := sha256.New()
			if _, err := io.Copy(sum, io.NewSectionReader(j.sink.file, h.Offset, int64(h.Limit))); err != nil {
				return err
			}
			if !bytes.Equal(sum.Sum(nil), h.Hash) {
				return errors.Join(fmt.Errorf("%w: at %d", ErrHash, h.Offset), j.forget())
			}
			next = max(next, h.Offset+int64(h.Limit))
		}
		if next == offset {
			return nil // the server has no hashes of this file
		}
		offset = next
	}
	return nil
}

// forget has the next run begin anew.
func (j *download) forget() error {
	return j.r.commits.wait(nil, func(b *checkpoint.Batch) { b.Forget(j.key) })
}

func (j *download) finished(res FileResult) error {
	if j.d.Finished == nil {
		return nil
	}
	return j.d.Finished(res)
}

func (j *download) close() {
	if j.sink != nil {
		_ = j.sink.close() // what matters was synced
	}
}

// fresh takes over the reference of the same file.
func (j *download) fresh(files []telegram.File) error {
	for _, f := range files {
		if f.ID != j.d.File.ID || f.Thumb != j.d.File.Thumb {
			continue
		}
		if f.Size != j.d.File.Size || f.Err != nil {
			return fmt.Errorf("%w: its size is %d now", ErrGone, f.Size)
		}
		j.mu.Lock()
		defer j.mu.Unlock()
		j.file = f
		return nil
	}
	return ErrGone
}
