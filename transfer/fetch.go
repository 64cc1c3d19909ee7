package transfer

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/scheduler"
	"github.com/tghaul/haul/tl/api"
)

// A fetched is the bytes of one part, in the buffer in which they came. It lives
// in the scratch of its attempt: who wants the bytes for longer keeps resp and
// data, and not the fetched.
type fetched struct {
	d    *download
	n    int
	resp Response // nil: data is somebody else's
	data []byte   // aliases resp
	held bool     // by the hash, which will release it
}

func (p *fetched) size() int64 { return int64(len(p.data)) }

func (p *fetched) release() {
	if !p.held {
		p.resp.Release()
	}
}

// store writes the part and has it marked. Of a file that bears its final name
// already nothing is written: the part must be there.
func (p *fetched) store() error {
	if p.d.found != nil {
		return p.d.compare(p.n, p.data)
	}
	if err := p.d.put(p.n, p.data, crc32.Checksum(p.data, castagnoli)); err != nil {
		return err
	}
	if p.resp == nil {
		p.d.hash.offer(p.n, p.data)
	} else {
		p.held = p.d.hash.hold(p.n, heldPart{p.data, p.resp})
	}
	return nil
}

// put writes a part and has it marked. data is not kept, and still to be hashed.
func (d *download) put(n int, data []byte, crc uint32) error {
	d.run.commits.admit(int64(len(data)))
	err := d.sink.writeAt(data, d.offset(n))
	if isFull(err) {
		err = d.run.whenRoom(func() error { return d.sink.writeAt(data, d.offset(n)) })
	}
	if err != nil {
		d.run.commits.withdraw(int64(len(data)))
		return err
	}
	d.run.commits.mark(d.sink, int64(len(data)), d, partMark{n, crc})
	return nil
}

// markPart implements marker.
func (d *download) markPart(b *checkpoint.Batch, p partMark) {
	d.markBegun(b)
	b.Mark(d.key, p.n, p.crc)
}

func (p *fetched) stored() { p.d.hash.catchUp(p.d.run.ctx()) }

// move asks for one part at the DC or CDN that the scheduler names.
func (d *download) move(ctx context.Context, s scheduler.Send, m *scratch) (payload, error) {
	conn, err := d.run.partSession(ctx, s)
	if err != nil {
		if s.Route.Use == scheduler.CDN && !errors.Is(err, errAgain) {
			return nil, d.cdnTrouble(ctx, err)
		}
		return nil, err
	}
	if s.Route.Use == scheduler.CDN {
		return d.moveCDN(ctx, conn, s)
	}
	d.mu.Lock()
	m.get = api.UploadGetFileRequest{
		CdnSupported: !d.cdn.refused, Location: d.locationLocked(),
		Offset: d.offset(s.Part.N), Limit: int32(d.partSize),
	}
	d.mu.Unlock()
	resp, err := conn.Invoke(ctx, &m.get)
	if err != nil {
		var rpc *mtproto.RPCError
		if errors.As(err, &rpc) && rpc.Type == "FILE_MIGRATE" {
			d.moved(rpc.Arg)
		}
		return nil, err
	}
	answer, err := m.answerOf(resp.Body())
	if err != nil {
		resp.Release()
		return nil, err
	}
	switch a := answer.(type) {
	case *api.UploadFile:
		if err := checkLength(len(a.Bytes), d.length(s.Part.N), d.partSize); err != nil {
			resp.Release()
			return nil, err
		}
		m.fetched = fetched{d: d, n: s.Part.N, resp: resp, data: a.Bytes}
		return &m.fetched, nil
	case *api.UploadFileCdnRedirect:
		err := d.redirect(s, a)
		resp.Release()
		return nil, err
	default:
		resp.Release()
		return nil, &answerError{method: m.get.TypeName(), err: fmt.Errorf("unexpected %s", answer.TypeName())}
	}
}

// checkLength holds a part's length against what it must have: exactly the
// rest of the file, or a full part. A short part is no end of the file.
func checkLength(got, want, asked int) error {
	switch {
	case got > asked:
		return fmt.Errorf("%w: %d bytes, asked for %d", ErrLong, got, asked)
	case got > want:
		return fmt.Errorf("%w: %d bytes, the file has %d there", ErrLong, got, want)
	case got < want:
		return fmt.Errorf("%w: %d bytes, want %d", ErrShort, got, want)
	}
	return nil
}
