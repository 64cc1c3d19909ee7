package mtproto

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/mt"
)

const (
	containerID = 0x73f1f8dc
	maxMessages = 1024
	maxGzip     = 32 << 20 // bytes that a gzip_packed may inflate to
)

// A message is one message of a packet, outside or inside a container.
type message struct {
	id    int64
	seqNo int32
	body  []byte // aliases the frame, unless gzip was undone
}

// unpack takes a container apart, or m alone, and appends what it finds to
// inner. Containers do not nest, a message inside is older than its container,
// and all of it is there or nothing: else the packet is refused as a whole.
// See core.telegram.org/mtproto/service_messages#containers.
func unpack(inner []message, m message) ([]message, error) {
	d := tl.NewDecoder(m.body)
	if d.PeekID() != containerID {
		return append(inner, m), nil
	}
	d.ID()
	n := d.Count(16)
	if n > maxMessages {
		return nil, violated("container of %d messages", n)
	}
	inner = slices.Grow(inner, n)
	for range n {
		im := message{id: d.Long(), seqNo: d.Int()}
		im.body = d.Take(int(d.Int()))
		if d.Err() != nil {
			break
		}
		switch {
		case len(im.body)%4 != 0:
			return nil, violated("message of %d bytes in a container", len(im.body))
		case tl.NewDecoder(im.body).PeekID() == containerID:
			return nil, violated("container in a container")
		case im.id >= m.id:
			return nil, violated("message in a container is not older than it")
		}
		inner = append(inner, im)
	}
	if err := d.End(); err != nil {
		return nil, violated("container: %w", err)
	}
	return inner, nil
}

// gunzip inflates a boxed gzip_packed, or returns body as it is. Gzip inside
// gzip is refused, and so is what inflates beyond 32 MiB.
func gunzip(body []byte) ([]byte, error) {
	if tl.NewDecoder(body).PeekID() != mt.GzipPackedID {
		return body, nil
	}
	d := tl.NewDecoder(body)
	var packed mt.GzipPacked
	packed.Decode(d)
	if err := d.End(); err != nil {
		return nil, err
	}
	out, err := inflate(packed.PackedData)
	switch {
	case err != nil:
		return nil, fmt.Errorf("gzip: %w", err)
	case tl.NewDecoder(out).PeekID() == mt.GzipPackedID:
		return nil, errors.New("gzip inside gzip")
	}
	return out, nil
}

// inflate looks first how much comes out: what does not fit costs no memory,
// and the rest is held once, not twice as in a buffer that grows.
func inflate(data []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	n, err := io.Copy(io.Discard, io.LimitReader(z, maxGzip+1))
	switch {
	case err != nil:
		return nil, err
	case n > maxGzip:
		return nil, errors.New("inflates to more than 32 MiB")
	}
	if err := z.Reset(bytes.NewReader(data)); err != nil {
		return nil, err
	}
	out := make([]byte, n)
	_, err = io.ReadFull(z, out)
	return out, err
}
