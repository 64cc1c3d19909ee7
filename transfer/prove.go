package transfer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"os"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/tl/api"
)

// What lies on disk without a record in the checkpoint, because that was lost
// or the program ended just then, is believed only if it is proven: by the
// checksums of its marks, by the hash that a manifest has listed, by the hashes
// that the server states (upload.getFileHashes), or by fetching it once more.

// maxHashBlock bounds what a hash may cover: it has to lie in one part.
const maxHashBlock = 128 << 10

// worthProving is the size from which the server is asked for hashes. To fetch
// less costs no more requests.
const worthProving = MaxPartSize

// errNoHash says that the server states no hash there.
var errNoHash = fmt.Errorf("%w: none stated", ErrHash)

// A blockHash is the hash of a block of a file.
type blockHash struct {
	limit int // bytes
	sum   [32]byte
}

// keepBlocks adds those hashes that make sense, by offset.
func keepBlocks(to map[int64]blockHash, hashes []api.FileHash, size int64) {
	for _, h := range hashes {
		if len(h.Hash) == 32 && h.Limit > 0 && h.Limit <= maxHashBlock && h.Offset >= 0 && h.Offset < size {
			to[h.Offset] = blockHash{limit: int(h.Limit), sum: [32]byte(h.Hash)}
		}
	}
}

// proveBlocks matches data, which lies at start of a file, against the hashes
// of its blocks. A hash that is missing is asked for once. The error wraps
// ErrHash if the data is wrong, and errNoHash if that cannot be told.
func proveBlocks(data []byte, start, size int64, hash func(at int64) (blockHash, bool), ask func(at int64) error) error {
	end := start + int64(len(data))
	for at, asked := start, false; at < end; {
		h, ok := hash(at)
		if !ok {
			if asked {
				return fmt.Errorf("%w for byte %d", errNoHash, at)
			}
			if err := ask(at); err != nil {
				return err
			}
			asked = true
			continue
		}
		block := data[at-start:]
		// The last block may be stated longer than the file is.
		if int64(h.limit) > int64(len(block)) && end < size {
			return fmt.Errorf("%w: hash across the end of a part", errNoHash)
		}
		block = block[:min(h.limit, len(block))]
		if sum := sha256.Sum256(block); subtle.ConstantTimeCompare(sum[:], h.sum[:]) != 1 {
			return fmt.Errorf("%w: bytes %d to %d", ErrHash, at, at+int64(len(block)))
		}
		at += int64(len(block))
		asked = false
	}
	return nil
}

// openUnmarked opens an unfinished file of which no part is marked. What the
// server proves of its content is kept.
func (d *download) openUnmarked(ctx context.Context) (opened, error) {
	fi, err := d.sink.file.Stat()
	if err != nil {
		return opened{}, err
	}
	if fi.Size() < worthProving {
		if err := d.sink.clear(); err != nil {
			return opened{}, err
		}
		return opened{parts: d.parts(nil)}, nil
	}
	o := opened{}
	good, err := d.proveParts(ctx, d.sink.file, fi.Size(), func(n int, b []byte) error {
		o.have++
		o.resumed += int64(len(b))
		p := &fetched{d: d, n: n, data: b}
		// It is written once more, so that the sync before its mark concerns it:
		// what can be read need not be on disk, nor ever come there.
		return p.store()
	})
	if err != nil && !errors.Is(err, ErrHash) {
		return opened{}, err
	}
	o.parts = d.parts(good)
	return o, nil
}

// proveParts has the server prove the parts of a file below length. Each good
// one is handed to use. Those that are empty on disk are passed over. The
// error wraps ErrHash if a part is wrong; the others are proven nonetheless.
func (d *download) proveParts(ctx context.Context, f file, length int64, use func(n int, b []byte) error) (good map[int]bool, err error) {
	good = make(map[int]bool)
	hashes := make(map[int64]blockHash)
	var wrong error
	buf := make([]byte, d.partSize)
	for n := range d.count() {
		b := buf[:d.length(n)]
		if d.offset(n)+int64(len(b)) > length || d.run.noHashes.Load() {
			break
		}
		if _, err := f.ReadAt(b, d.offset(n)); err != nil || isZero(b) {
			continue
		}
		hash := func(at int64) (blockHash, bool) { h, ok := hashes[at]; return h, ok }
		err := proveBlocks(b, d.offset(n), d.size, hash, func(at int64) error { return d.askHashes(ctx, at, hashes) })
		switch {
		case err == nil:
			if err := use(n, b); err != nil {
				return good, err
			}
			good[n] = true
		case errors.Is(err, errNoHash):
		case errors.Is(err, ErrHash):
			wrong = err
		default:
			return good, err
		}
	}
	return good, wrong
}

func isZero(b []byte) bool { return len(bytes.TrimLeft(b, "\x00")) == 0 }

// askHashes asks the file's DC for hashes from an offset on. If it has none to
// give the error wraps errNoHash, and after a flood wait nothing is asked again
// in this run: there is another way to prove a part.
func (d *download) askHashes(ctx context.Context, at int64, hashes map[int64]blockHash) error {
	d.mu.Lock()
	q := &api.UploadGetFileHashesRequest{Location: d.file.Location(), Offset: at}
	d.mu.Unlock()
	route := d.route()
	route.Method = q.TypeName()
	err := d.run.aside(ctx, route, 0, func(m Session) error {
		return call(ctx, m, q, func(stated []api.FileHash) error {
			keepBlocks(hashes, stated, d.size)
			return nil
		})
	})
	var rpc *mtproto.RPCError
	var held *heldError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil, endsRun(err):
		return err
	case errors.As(err, &held), errors.As(err, &rpc) && isWait(rpc):
		d.run.noHashes.Store(true)
	}
	return fmt.Errorf("%w: %w", errNoHash, err)
}

// find looks at a file that has the final name already but no record. It is
// never written to: it is the one wanted, or the download fails.
func (d *download) find(ctx context.Context, record checkpoint.Download, known bool) (opened, error) {
	if fi, err := d.dir.fs.Lstat(d.path); err != nil || !fi.Mode().IsRegular() || fi.Size() != d.size {
		return opened{}, d.taken()
	}
	f, err := d.dir.fs.OpenFile(d.path, os.O_RDONLY)
	if err != nil {
		return opened{}, err
	}
	d.found, d.foundOurs = f, known
	d.hash = d.run.newFrontier(f, d.size, d.partSize)
	var o opened
	switch {
	case known && len(record.Parts) == d.count():
		// Ours, if the program ended between naming it and recording that.
		if o, err = d.resume(ctx, f, record); err == nil && len(o.parts) > 0 {
			err = d.taken()
		}
	case d.d.SHA256 != [32]byte{}:
		err = d.matchSum(ctx)
	default:
		o, err = d.proveFound(ctx)
	}
	if err != nil || len(o.parts) > 0 {
		return o, err
	}
	res, err := d.adopt(ctx)
	return opened{done: &res}, err
}

func (d *download) taken() error { return fmt.Errorf("%w: %s", ErrExists, d.path) }

// matchSum compares the found file with the hash that was listed for it.
func (d *download) matchSum(ctx context.Context) error {
	for n := range d.count() {
		d.hash.mark(n)
	}
	sum, err := d.hash.result(ctx)
	if err == nil && sum != d.d.SHA256 {
		err = fmt.Errorf("%w: %s does not have the SHA-256 that was listed for it", ErrExists, d.path)
	}
	return err
}

// proveFound has the server prove the found file. What remains has to be
// fetched and compared.
func (d *download) proveFound(ctx context.Context) (o opened, err error) {
	good := make(map[int]bool)
	if d.size >= worthProving {
		good, err = d.proveParts(ctx, d.found, d.size, func(n int, b []byte) error {
			o.have++
			o.resumed += int64(len(b))
			d.hash.offer(n, b)
			return nil
		})
		if errors.Is(err, ErrHash) {
			err = d.taken()
		}
	}
	o.parts = d.parts(good)
	return o, err
}

// compare holds a part that was fetched against the found file.
func (d *download) compare(n int, data []byte) error {
	b := make([]byte, len(data))
	if _, err := d.found.ReadAt(b, d.offset(n)); err != nil {
		return err
	}
	if !bytes.Equal(b, data) {
		return d.taken()
	}
	d.hash.offer(n, b)
	return nil
}

// adopt records the found file, which is proven.
func (d *download) adopt(ctx context.Context) (FileResult, error) {
	sum, err := d.hash.result(ctx)
	if err != nil {
		return FileResult{}, fmt.Errorf("hash: %w", err)
	}
	// Nobody knows who wrote it, and whether that is on disk.
	if err := d.found.Datasync(); err != nil && !isDenied(err) {
		return FileResult{}, fmt.Errorf("sync: %w", err)
	}
	entry := newLink(d.dir)
	if d.foundOurs {
		d.removeOtherNames()
	}
	return d.result(sum), d.record(entry, sum)
}

// removeOtherNames takes from the found file the names that it had while it was
// unfinished: a power loss, or a kill where a rename is a link and a removal, may
// have left them to it. Another file that is called so stays.
func (d *download) removeOtherNames() {
	found, err := d.found.Stat()
	if err != nil {
		return
	}
	for _, suffix := range []string{partSuffix, asideSuffix} {
		named, err := d.dir.fs.Lstat(d.path + suffix) // as a rule there is none
		if err == nil && d.dir.fs.SameFile(found, named) {
			_ = d.dir.fs.Remove(d.path + suffix) // else it is only left over
		}
	}
}
