package transfer

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"

	"github.com/tghaul/haul/tl/api"
)

// verifyServer compares the finished file with the hashes that its DC states,
// as far as it states any.
func (d *download) verifyServer(ctx context.Context) error {
	err := d.eachHash(ctx, d.fileHashes, func(at int64) int64 { return at }, func(from, to int64, sum []byte) error {
		good, err := matches(d.sink.file, from, to, sum)
		if err == nil && !good {
			err = fmt.Errorf("%w: bytes %d to %d", ErrHash, from, to)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("verify with the server: %w", err)
	}
	return nil
}

// matches reports whether a range of a file has a SHA-256.
func matches(file io.ReaderAt, from, to int64, sum []byte) (bool, error) {
	h := sha256.New()
	n, err := io.Copy(h, io.NewSectionReader(file, from, to-from))
	if err == nil && n != to-from {
		err = io.ErrUnexpectedEOF
	}
	return err == nil && subtle.ConstantTimeCompare(h.Sum(nil), sum) == 1, err
}

// eachHash asks for the hashes of the file from front to back, and calls use
// for each range of which the DC states one. skip says from where on hashes are
// wanted at least, which must not be less than its argument.
func (d *download) eachHash(ctx context.Context, ask func(ctx context.Context, at int64) ([]api.FileHash, error), skip func(at int64) int64, use func(from, to int64, sum []byte) error) error {
	for at := skip(0); at < d.size; at = skip(at) {
		hashes, err := ask(ctx, at)
		if err != nil {
			return err
		}
		next := at
		for _, h := range hashes {
			to := min(h.Offset+int64(h.Limit), d.size)
			if h.Offset < next || h.Limit <= 0 || to <= h.Offset {
				continue
			}
			if err := use(h.Offset, to, h.Hash); err != nil {
				return err
			}
			next = to
		}
		if next == at {
			return nil // it states no more
		}
		at = next
	}
	return nil
}

// fileHashes asks the file's DC for some hashes from an offset on. It fails
// with errStale if the file needs a new reference.
func (d *download) fileHashes(ctx context.Context, at int64) (list []api.FileHash, err error) {
	method := (*api.UploadGetFileHashesRequest)(nil).TypeName()
	err = d.ask(ctx, method, func(m Session) error {
		d.mu.Lock()
		q := &api.UploadGetFileHashesRequest{Location: d.file.Location(), Offset: at}
		d.mu.Unlock()
		return call(ctx, m, q, func(hashes []api.FileHash) error {
			list = nil
			for _, h := range hashes { // they alias the answer
				list = append(list, api.FileHash{Offset: h.Offset, Limit: h.Limit, Hash: append([]byte(nil), h.Hash...)})
			}
			return nil
		})
	})
	return list, err
}

// freshHashes is fileHashes for a file that is not open yet: nobody else
// renews its reference.
func (d *download) freshHashes(ctx context.Context, at int64) (list []api.FileHash, err error) {
	for range maxStale {
		if list, err = d.fileHashes(ctx, at); !errors.Is(err, errStale) {
			break
		}
		o := d.d.File.Origin
		files, refreshErr := d.run.tg.RefreshFiles(ctx, o.Peer, []int{o.MessageID})
		if refreshErr != nil {
			return nil, refreshErr
		}
		if err := d.renew(files[o.MessageID]); err != nil {
			return nil, err
		}
	}
	return list, err
}
