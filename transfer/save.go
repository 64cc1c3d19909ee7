package transfer

import (
	"context"
	"errors"
	"fmt"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/scheduler"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// A confirmed is a part that the server has.
type confirmed struct {
	u *upload
	n int
}

func (p *confirmed) size() int64 { return int64(p.u.length(p.n)) }
func (p *confirmed) release()    {}
func (p *confirmed) stored()     { p.u.hash.catchUp(p.u.run.ctx()) }

// store has the confirmed part recorded.
func (p *confirmed) store() error {
	p.u.mu.Lock()
	p.u.record.Parts[p.n] = true
	p.u.mu.Unlock()
	p.u.hash.mark(p.n)
	p.u.run.commits.admit(p.size())
	p.u.run.commits.mark(nil, p.size(), p.u, partMark{n: p.n})
	return nil
}

// markPart implements marker.
func (u *upload) markPart(b *checkpoint.Batch, p partMark) { b.Sent(u.key, p.n) }

// move sends one part.
func (u *upload) move(ctx context.Context, s scheduler.Send, m *scratch) (payload, error) {
	if err := u.unchangedYet(); err != nil {
		return nil, err
	}
	conn, err := u.run.partSession(ctx, s)
	if err != nil {
		return nil, err
	}
	q := u.saveRequest(s.Part.N, m)
	resp, err := conn.InvokeWith(ctx, q, u.payload(s.Part.N))
	if err != nil {
		return nil, changedIfUnread(err)
	}
	saved, err := decodeBy(&m.dec, q, resp.Body())
	resp.Release()
	if err != nil {
		return nil, err
	}
	if !saved {
		return nil, fmt.Errorf("%w: it could not save the part", errServer)
	}
	m.confirmed = confirmed{u: u, n: s.Part.N}
	return &m.confirmed, nil
}

// changedIfUnread says of a source that cannot be read any more that it has
// changed. Other errors stay as they are.
func changedIfUnread(err error) error {
	var unread *mtproto.PayloadError
	if errors.As(err, &unread) {
		return fmt.Errorf("%w: %w", ErrChanged, unread.Err)
	}
	return err
}

// payload are the bytes of a part, read out of the source when it is sent. That
// may still happen when the upload is closed already.
func (u *upload) payload(n int) mtproto.Payload {
	return mtproto.Payload{Len: u.length(n), From: u.body, At: int64(n) * uploadPartSize}
}

// saveRequest is the request to save a part, without its bytes. It lives in m.
func (u *upload) saveRequest(n int, m *scratch) tl.Method[bool] {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.record.Big {
		m.saveBig = api.UploadSaveBigFilePartRequest{
			FileID: u.record.FileID, FilePart: int32(n), FileTotalParts: int32(u.count()),
		}
		return &m.saveBig
	}
	m.save = api.UploadSaveFilePartRequest{FileID: u.record.FileID, FilePart: int32(n)}
	return &m.save
}
