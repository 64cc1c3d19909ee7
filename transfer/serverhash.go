package transfer

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/scheduler"
	"github.com/tghaul/haul/tl/api"
)

// maxHashTries is how often one call for hashes may meet trouble.
const maxHashTries = 5

// verifyServer compares the finished file with the hashes that its DC states,
// as far as it states any.
func (d *download) verifyServer(ctx context.Context) error {
	err := d.eachHash(ctx, func(at int64) int64 { return at }, func(from, to int64, sum []byte) error {
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
func (d *download) eachHash(ctx context.Context, skip func(at int64) int64, use func(from, to int64, sum []byte) error) error {
	d.mu.Lock()
	route := d.masterRouteLocked()
	d.mu.Unlock()
	for at := skip(0); at < d.size; at = skip(at) {
		hashes, err := d.fileHashes(ctx, &route, at)
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

// fileHashes asks a DC for some hashes from an offset on. Trouble that may pass
// is waited out; it passes on to another DC by changing route.
func (d *download) fileHashes(ctx context.Context, route *scheduler.Route, at int64) (list []api.FileHash, err error) {
	for try := 1; ; try++ {
		d.mu.Lock()
		q := &api.UploadGetFileHashesRequest{Location: d.file.Location(), Offset: at}
		d.mu.Unlock()
		m, err := d.run.session(ctx, *route, 0)
		if err == nil {
			err = call(ctx, m, q, func(hashes []api.FileHash) error {
				for _, h := range hashes { // they alias the answer
					list = append(list, api.FileHash{Offset: h.Offset, Limit: h.Limit, Hash: append([]byte(nil), h.Hash...)})
				}
				return nil
			})
		}
		if err == nil || ctx.Err() != nil || endsRun(err) || try >= maxHashTries {
			return list, err
		}
		if err := d.soothe(ctx, route, q.TypeName(), try, err); err != nil {
			return nil, err
		}
	}
}

// soothe does about an error of a call for hashes what helps. Its own error
// says that nothing does.
func (d *download) soothe(ctx context.Context, route *scheduler.Route, method string, try int, err error) error {
	var rpc *mtproto.RPCError
	switch {
	case !errors.As(err, &rpc) || rpc.Code >= 500 || rpc.Code < 0:
		return pause(ctx, time.Duration(try)*time.Second)
	case isWait(rpc):
		wait := time.Duration(rpc.Arg) * time.Second
		d.run.post(func() {
			d.run.floodWait(scheduler.Wait{
				Scope: scheduler.Scope{DC: route.DC, Method: method}, For: wait, Until: time.Now().Add(wait),
				Premium: rpc.Type == "FLOOD_PREMIUM_WAIT",
			})
		})
		return pause(ctx, wait)
	case rpc.Type == "FILE_MIGRATE":
		route.DC = rpc.Arg
		return nil
	case strings.HasPrefix(rpc.Type, "FILE_REFERENCE_"):
		o := d.d.File.Origin
		files, err := d.run.tg.RefreshFiles(ctx, o.Peer, []int{o.MessageID})
		if err != nil {
			return err
		}
		return d.renew(files[o.MessageID])
	case rpc.Code == 401:
		return d.run.tg.ReauthorizeDC(ctx, route.DC)
	default:
		return err
	}
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
