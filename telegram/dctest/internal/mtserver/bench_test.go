package mtserver

import (
	"context"
	"net"
	"sync"
	"testing"

	"github.com/tghaul/haul/mtproto/transport"
	"github.com/tghaul/haul/tl"
)

// fileAnswer is upload.file with bytes that are encoded each time.
type fileAnswer struct{ data []byte }

func (fileAnswer) TypeID() uint32   { return idUploadFile }
func (fileAnswer) TypeName() string { return "upload.file" }

func (f fileAnswer) Encode(e *tl.Encoder) {
	e.ID(idUploadFile)
	e.ID(0xaa963b05) // storage.fileUnknown
	e.Int(0)
	e.Blob(f.data)
}

// BenchmarkDownload serves parts of 1 MiB over one connection on loopback. The
// peer reads frames and acknowledges, but does not decrypt.
func BenchmarkDownload(b *testing.B) {
	part := fileAnswer{data: make([]byte, 1<<20)}
	dc := NewDC(Config{ID: 2, RSA: testRSA(), Handler: handlerFunc(func(context.Context, *Call) (tl.Object, error) { return part, nil })})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = dc.Serve(b.Context(), l, false) })
	defer serving.Wait()
	defer func() { _ = dc.Close() }()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	conn, err := transport.Client(nc, transport.Options{Obfuscated: true})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	c := &client{t: new(testing.T), conn: conn, key: (&env{dc: dc}).addKey(0), salt: 7, session: 1}
	buf := make([]byte, 2<<20)
	const window = 8
	b.SetBytes(1 << 20)
	b.ReportAllocs()
	sent, got := 0, 0
	for b.Loop() {
		for sent < got+window {
			c.call(int64(sent))
			sent++
		}
		for {
			frame, err := conn.ReadFrame(func(n int) []byte { return buf[:n] })
			if err != nil {
				b.Fatal(err)
			}
			if len(frame) > 1<<20 {
				break
			}
		}
		got++
	}
}
