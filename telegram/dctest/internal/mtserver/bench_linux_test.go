package mtserver

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/mtproto/transport"
	"github.com/tghaul/haul/tl"
)

// fileAnswer is upload.file with bytes that are encoded each time.
type fileAnswer struct{ data []byte }

func (fileAnswer) TypeID() uint32    { return idUploadFile }
func (fileAnswer) TypeName() string  { return "upload.file" }
func (f fileAnswer) EncodedLen() int { return 12 + tl.BlobLen(len(f.data)) }

func (f fileAnswer) Encode(e *tl.Encoder) {
	e.ID(idUploadFile)
	e.ID(0xaa963b05) // storage.fileUnknown
	e.Int(0)
	e.Blob(f.data)
}

// BenchmarkDownload serves parts of 1 MiB over connections on loopback, two of
// them under way on each. The peer reads frames, but does not decrypt. It
// prints what server and peer take together.
func BenchmarkDownload(b *testing.B) {
	for _, connections := range []int{1, 8} {
		b.Run(fmt.Sprint(connections), func(b *testing.B) { benchmarkDownload(b, connections) })
	}
}

func benchmarkDownload(b *testing.B, connections int) {
	part := fileAnswer{data: make([]byte, 1<<20)}
	dc := NewDC(Config{
		ID: 2, RSA: testRSA(), Patience: crypto.Patience,
		Handler: handlerFunc(func(context.Context, *Call) (tl.Object, error) { return part, nil }),
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = dc.Serve(b.Context(), l, false) })
	defer serving.Wait()
	defer func() { _ = dc.Close() }()
	b.SetBytes(1 << 20)
	b.ReportAllocs()
	var left atomic.Int64
	left.Store(int64(b.N))
	before := cpuTime()
	var reading sync.WaitGroup
	for i := range connections {
		reading.Go(func() { readParts(b, dc, l.Addr().String(), int64(i+1), &left) })
	}
	reading.Wait()
	b.ReportMetric((cpuTime()-before).Seconds()/float64(b.N)*1024, "CPU-s/GiB")
}

// readParts asks for parts over a connection of its own until there are none left.
func readParts(b *testing.B, dc *DC, address string, session int64, left *atomic.Int64) {
	nc, err := net.Dial("tcp", address)
	if err != nil {
		b.Error(err)
		return
	}
	conn, err := transport.Client(nc, transport.Options{Obfuscated: true})
	if err != nil {
		b.Error(err)
		return
	}
	defer func() { _ = conn.Close() }()
	c := &client{t: new(testing.T), conn: conn, key: (&env{dc: dc}).addKey(0), salt: 7, session: session}
	buf := make([]byte, 2<<20)
	under := 0
	for {
		for under < 2 && left.Add(-1) >= 0 {
			c.call(int64(under))
			under++
		}
		if under == 0 {
			return
		}
		frame, err := conn.ReadFrame(func(n int) []byte { return buf[:n] })
		if err != nil {
			b.Error(err)
			return
		}
		if len(frame) > 1<<20 {
			under--
		}
	}
}

// cpuTime is what the process has taken.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
