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

// A fetched is the bytes of one part, in the buffer in which they came.
type fetched struct {
	d    *download
	n    int
	resp Response
	data []byte // aliases resp
}

func (p *fetched) size() int64 { return int64(len(p.data)) }
func (p *fetched) release()    { p.resp.Release() }

// store writes the part and has it marked.
func (p *fetched) store() error {
	d, n := p.d, p.n
	if err := d.sink.writeAt(p.data, d.offset(n)); err != nil {
		return err
	}
	crc := crc32.Checksum(p.data, castagnoli)
	d.hash.offer(n, p.data)
	d.run.commits.mark(d.sink, p.size(), func(b *checkpoint.Batch) {
		d.markBegun(b)
		b.Mark(d.key, n, crc)
	})
	return nil
}

func (p *fetched) stored() { p.d.hash.catchUp(p.d.run.ctx()) }

// move asks for one part at the DC or CDN that the scheduler names.
func (d *download) move(ctx context.Context, s scheduler.Send) (payload, error) {
	conn, err := d.run.session(ctx, s.Route, s.Conn)
	if err != nil {
		if s.Route.Use == scheduler.CDN {
			return nil, d.cdnTrouble(ctx, err)
		}
		return nil, err
	}
	if s.Route.Use == scheduler.CDN {
		return d.moveCDN(ctx, conn, s)
	}
	d.mu.Lock()
	q := &api.UploadGetFileRequest{
		CdnSupported: !d.cdn.refused, Location: d.file.Location(),
		Offset: d.offset(s.Part.N), Limit: int32(d.partSize),
	}
	d.mu.Unlock()
	resp, err := conn.Invoke(ctx, q)
	if err != nil {
		var rpc *mtproto.RPCError
		if errors.As(err, &rpc) && rpc.Type == "FILE_MIGRATE" {
			d.moved(rpc.Arg)
		}
		return nil, err
	}
	answer, err := decode(q, resp.Body())
	if err != nil {
		resp.Release()
		return nil, err
	}
	switch a := answer.(type) {
	case *api.UploadFile:
		return d.accept(s.Part.N, resp, a.Bytes)
	case *api.UploadFileCdnRedirect:
		err := d.redirect(s, a)
		resp.Release()
		return nil, err
	default:
		resp.Release()
		return nil, &answerError{method: q.TypeName(), err: fmt.Errorf("unexpected %s", answer.TypeName())}
	}
}

// accept checks the length of a part. What it refuses it releases.
func (d *download) accept(n int, resp Response, data []byte) (payload, error) {
	if err := checkLength(len(data), d.length(n), d.partSize); err != nil {
		resp.Release()
		return nil, err
	}
	return &fetched{d: d, n: n, resp: resp, data: data}, nil
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
