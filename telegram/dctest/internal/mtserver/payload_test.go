package mtserver_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/telegram/dctest/internal/mtserver"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// parts keeps the parts that it is sent, by number.
type parts struct {
	mu  sync.Mutex
	got map[int32][]byte
}

func (p *parts) Handle(ctx context.Context, c *mtserver.Call) (tl.Object, error) {
	if c.Method != api.UploadSaveFilePartRequestID {
		return nearest{}.Handle(ctx, c)
	}
	var id tl.Encoder
	id.ID(api.UploadSaveFilePartRequestID)
	_, fields, _ := bytes.Cut(c.Query, id.Bytes()) // below its wrappers
	d := tl.NewDecoder(fields)
	var q api.UploadSaveFilePartRequest
	if q.DecodeBare(d); d.End() != nil {
		return nil, &mtserver.Error{Code: 400, Message: "INPUT_REQUEST_TOO_LONG"}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got[q.FilePart] = bytes.Clone(q.Bytes)
	return yes, nil
}

// yes is boolTrue.
var yes = tl.Raw{0xb5, 0x75, 0x72, 0x99}

// pattern is content that has no period of a power of two.
func pattern(b []byte) {
	for i := range b {
		b[i] = byte(i * i % 251)
	}
}

// A source fills what is read of it.
type source func([]byte) error

func (s source) ReadAt(b []byte, _ int64) (int, error) {
	if err := s(b); err != nil {
		return 0, err
	}
	return len(b), nil
}

// savePart sends a part whose bytes read fills.
func savePart(ctx context.Context, s *mtproto.Session, part int32, n int, read source) error {
	r, err := s.InvokeWith(ctx, &api.UploadSaveFilePartRequest{FileID: 1, FilePart: part}, mtproto.Payload{Len: n, From: read})
	if err == nil {
		r.Release()
	}
	return err
}

// TestPayload: what is read when a query is sent arrives whole, however long it
// is, beside calls of other kinds, and when the query has to be sent again.
func TestPayload(t *testing.T) {
	sizes := []int{1, 2, 3, 253, 254, 255, 256, 1021, 4096, 16 << 10, 512<<10 - 1, 512 << 10}
	// Trouble begins with the first payload that is read. The packet before it may
	// still be on its way, so it strikes more than once.
	var left atomic.Int64
	strike := func(mtserver.Point) bool { return left.Add(-1) >= 0 }
	for name, faults := range map[string]mtserver.Faults{
		"no trouble":        {},
		"the salt is wrong": {BadSalt: strike},
		"connections break": {DropConn: strike},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &parts{got: map[int32][]byte{}}
				s, err := dialTo(t, mtserver.Config{Handler: p, Faults: faults}, mtproto.Options{})
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = s.Close() }()
				var reads atomic.Int64
				var wg sync.WaitGroup
				for part, n := range sizes {
					wg.Go(func() {
						if _, err := mtproto.Call(t.Context(), s, &api.HelpGetNearestDcRequest{}); err != nil {
							t.Error(err)
						}
					})
					wg.Go(func() {
						if err := savePart(t.Context(), s, int32(part), n, func(b []byte) error {
							if reads.Add(1) == 1 {
								left.Store(3)
							}
							pattern(b)
							return nil
						}); err != nil {
							t.Errorf("%d bytes: %v", n, err)
						}
					})
				}
				wg.Wait()
				synctest.Wait() // what was sent twice may be handled twice
				p.mu.Lock()
				defer p.mu.Unlock()
				for part, n := range sizes {
					want := make([]byte, n)
					pattern(want)
					if !bytes.Equal(p.got[int32(part)], want) {
						t.Errorf("%d bytes arrived as %d others", n, len(p.got[int32(part)]))
					}
				}
				if again := reads.Load() > int64(len(sizes)); again != (name != "no trouble") {
					t.Errorf("%d payloads were read, for %d parts", reads.Load(), len(sizes))
				}
			})
		})
	}
}

// TestPayloadUnread: a payload that cannot be read ends its call and no other one.
func TestPayloadUnread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &parts{got: map[int32][]byte{}}
		s, err := dialTo(t, mtserver.Config{Handler: p}, mtproto.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		broken := errors.New("the disk is broken")
		var wg sync.WaitGroup
		for part := range int32(8) {
			wg.Go(func() {
				err := savePart(t.Context(), s, part, 1000, func([]byte) error {
					if part%2 == 0 {
						return broken
					}
					return nil
				})
				var unread *mtproto.PayloadError
				if bad := part%2 == 0; errors.Is(err, broken) != bad || errors.As(err, &unread) != bad {
					t.Errorf("part %d: got %v", part, err)
				}
			})
		}
		begun := time.Now()
		wg.Wait()
		synctest.Wait() // what was sent twice may be handled twice
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.got) != 4 || time.Since(begun) > 10*time.Second {
			t.Errorf("%d parts arrived after %v, want 4", len(p.got), time.Since(begun))
		}
	})
}

// TestPayloadGivenUp: a call is given up while its payload is read. Those that
// come after it bring their own bytes.
func TestPayloadGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &parts{got: map[int32][]byte{}}
		s, err := dialTo(t, mtserver.Config{Handler: p}, mtproto.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		content := make([]byte, 3000)
		pattern(content)
		reading, goOn := make(chan struct{}), make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			err := savePart(ctx, s, 0, 500, func(b []byte) error {
				close(reading)
				<-goOn
				copy(b, content)
				return nil
			})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("given up: %v", err)
			}
		})
		<-reading
		cancel()
		wg.Wait()
		for part := range int32(5) {
			wg.Go(func() {
				r, err := s.InvokeWith(t.Context(), &api.UploadSaveFilePartRequest{FileID: 1, FilePart: part + 1},
					mtproto.Payload{Len: 500, From: bytes.NewReader(content), At: 500 * int64(part)})
				if err != nil {
					t.Error(err)
					return
				}
				r.Release()
			})
		}
		synctest.Wait() // all of them wait for the one that is read
		close(goOn)
		wg.Wait()
		synctest.Wait() // nobody waits for the answer to the one that was given up
		p.mu.Lock()
		defer p.mu.Unlock()
		for part := range int32(5) {
			if want := content[500*part:][:500]; !bytes.Equal(p.got[part+1], want) {
				t.Errorf("part %d has other bytes", part+1)
			}
		}
		if got, sent := p.got[0]; sent && !bytes.Equal(got, content[:500]) {
			t.Error("the part that was given up has other bytes")
		}
	})
}

// TestNoPayload: only what ends in empty bytes can be given others.
func TestNoPayload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := dial(t, mtserver.Config{}, mtproto.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		for _, n := range []int{0, -1, 1 << 24} {
			if err := savePart(t.Context(), s, 0, n, nil); err == nil {
				t.Errorf("a payload of %d bytes was sent", n)
			}
		}
		if _, err := s.InvokeWith(t.Context(), &api.HelpGetNearestDcRequest{}, mtproto.Payload{Len: 1}); err == nil {
			t.Error("a query without bytes was given some")
		}
	})
}
