package transfer

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/scheduler"
)

// A repair is a download with a beginning and an end of its own:
//
//  1. What an earlier repair has left in NAME.part is proven as ever.
//  2. Every other part that is still good in the damaged file is copied there.
//  3. The missing ones are fetched like those of any download.
//  4. The whole must have the hash that was given. If it has not, something
//     that was taken for good is not: all is fetched, once.
//  5. The new file takes the place of the damaged one by a rename.
//
// The record of the finished download stays until step 5 is durable. The one of
// the repair has a key of its own.

// repairKeyOf is what the checkpoint knows a repair by.
func repairKeyOf(d Download) checkpoint.Key { return keyFor(d, "\x00repair") }

func (d *download) openRepair(ctx context.Context) (opened, error) {
	sums, err := d.checksums()
	if err != nil {
		return opened{}, err
	}
	damaged, err := d.openDamaged()
	if err != nil {
		return opened{}, err
	}
	if damaged != nil {
		defer damaged.Close() //nolint:errcheck // it was only read
	}
	record, known, err := d.run.o.Checkpoint.Download(d.key)
	if err != nil {
		return opened{}, err
	}
	known = known && record.Path == d.path && record.Size == d.size && record.PartSize == d.partSize
	o, err := d.openPart(ctx, record, known)
	if err == nil && damaged != nil && len(o.parts) > 0 && !d.distrusts {
		err = d.salvage(ctx, damaged, sums, &o)
	}
	d.salvaged = o.resumed > 0 && !d.distrusts
	return o, err
}

// checksums are those of the finished download, if all of them are known; nil
// if not. It sets the part size.
func (d *download) checksums() (map[int]uint32, error) {
	d.partSize = partSizeFor(d.size, d.run.o.PartSize)
	cp, key := d.run.o.Checkpoint, keyOf(d.d)
	done, found, err := cp.Done(key)
	if err != nil || !found || done.Path != d.path || done.Size != d.size ||
		done.SHA256 != d.d.Repair.SHA256 || !validPartSize(done.PartSize) {
		return nil, err
	}
	sums, err := cp.Checksums(key)
	usual := d.partSize
	d.partSize = done.PartSize
	if err != nil || len(sums) != d.count() {
		d.partSize = usual
		return nil, err
	}
	return sums, nil
}

// openDamaged opens the file that is to be repaired; nil if it is missing.
func (d *download) openDamaged() (file, error) {
	fi, err := d.dir.fs.Lstat(d.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case !fi.Mode().IsRegular():
		return nil, fmt.Errorf("%w: %s is no regular file", ErrExists, d.path)
	}
	return d.dir.fs.OpenFile(d.path, os.O_RDONLY)
}

// salvage copies those of the missing parts that are good in the damaged file.
func (d *download) salvage(ctx context.Context, damaged io.ReaderAt, sums map[int]uint32, o *opened) error {
	isGood := func(n int, crc uint32) bool { return sums[n] == crc }
	if sums == nil {
		proven, err := d.provenByServer(ctx, damaged, o.parts)
		if err != nil {
			return err
		}
		isGood = func(n int, _ uint32) bool { return proven[n] }
	}
	var missing []scheduler.Part
	buf := make([]byte, d.partSize)
	for _, p := range o.parts {
		if err := ctx.Err(); err != nil {
			return err
		}
		b := buf[:d.length(p.N)]
		crc := uint32(0)
		_, err := damaged.ReadAt(b, d.offset(p.N))
		if err == nil {
			crc = crc32.Checksum(b, castagnoli)
		}
		if err != nil || !isGood(p.N, crc) {
			missing = append(missing, p)
			continue
		}
		if err := d.put(p.N, b, crc); err != nil {
			return err
		}
		d.hash.offer(p.N, b)
		o.have++
		o.resumed += int64(len(b))
	}
	o.parts = missing
	return nil
}

// provenByServer are those parts of the damaged file of which every byte is
// covered by a hash that the server states, and that match. They are none if it
// states none.
func (d *download) provenByServer(ctx context.Context, damaged io.ReaderAt, parts []scheduler.Part) (map[int]bool, error) {
	wanted := make(map[int]bool, len(parts))
	for _, p := range parts {
		wanted[p.N] = true
	}
	skip := func(at int64) int64 {
		for at < d.size && !wanted[int(at/int64(d.partSize))] {
			at = (at/int64(d.partSize) + 1) * int64(d.partSize)
		}
		return at
	}
	covered := make(map[int]int64) // bytes of a part that are good
	err := d.eachHash(ctx, d.freshHashes, skip, func(from, to int64, sum []byte) error {
		good, err := matches(damaged, from, to, sum)
		if err != nil || !good { // what cannot be read is not good
			return nil //nolint:nilerr // it will be fetched
		}
		for at := from; at < to; {
			n := int(at / int64(d.partSize))
			end := min(to, int64(n+1)*int64(d.partSize))
			covered[n] += end - at
			at = end
		}
		return nil
	})
	var rpc *mtproto.RPCError
	if err != nil && (endsRun(err) || ctx.Err() != nil || !errors.As(err, &rpc)) {
		return nil, err
	}
	proven := make(map[int]bool)
	for n, bytes := range covered {
		proven[n] = bytes == int64(d.length(n))
	}
	return proven, nil
}

// finishRepair puts the new file in the place of the damaged one, if it is what
// it must be.
func (d *download) finishRepair(sum [32]byte) (FileResult, error) {
	if sum != d.d.Repair.SHA256 {
		return FileResult{}, d.distrust()
	}
	record, _, err := d.run.o.Checkpoint.Download(d.key)
	if err != nil {
		return FileResult{}, err
	}
	if err := d.run.whenRoom(d.sink.replace); err != nil {
		return FileResult{}, err
	}
	key := keyOf(d.d)
	err = d.run.commits.wait(d.sink.entry, func(b *checkpoint.Batch) {
		b.Begin(key, checkpoint.Download{Path: d.path, Size: d.size, PartSize: d.partSize})
		for n, crc := range record.Parts {
			b.Mark(key, n, crc)
		}
		b.Finish(key, d.done(sum))
		b.Forget(d.key)
	})
	if err != nil {
		return FileResult{}, err
	}
	res := d.result(sum)
	return res, d.run.tell(d, res)
}

// distrust throws away what was put together, since it has not the right hash.
// If some of it was not fetched in this run, everything is.
func (d *download) distrust() error {
	if !d.salvaged {
		return errors.Join(ErrDiffers, d.run.commits.wait(nil, func(b *checkpoint.Batch) { b.Forget(d.key) }), d.sink.discard())
	}
	d.distrusts = true
	err := d.run.commits.wait(nil, func(b *checkpoint.Batch) {
		b.Begin(d.key, checkpoint.Download{Path: d.path, Size: d.size, PartSize: d.partSize})
	})
	if err := errors.Join(err, d.sink.clear()); err != nil {
		return err
	}
	return errMore
}

// replace gives the file its final name, in place of what has it. The file has
// to be synced before, and its folder after.
func (s *sink) replace() error {
	if err := s.complete(); err != nil {
		return err
	}
	if fi, err := s.dir.fs.Lstat(s.name); err == nil && !fi.Mode().IsRegular() {
		return fmt.Errorf("%w: %s is no regular file", ErrExists, s.name)
	}
	s.date()
	s.entry = newLink(s.dir)
	return s.dir.fs.Rename(s.name+partSuffix, s.name)
}

// discard removes the unfinished file.
func (s *sink) discard() error {
	return errors.Join(s.file.Close(), s.dir.fs.Remove(s.name+partSuffix))
}
