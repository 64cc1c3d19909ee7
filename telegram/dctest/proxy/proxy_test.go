package proxy_test

import (
	"bytes"
	"errors"
	"io"
	"math/bits"
	"math/rand/v2"
	"net"
	"runtime"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tghaul/haul/telegram/dctest/proxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo is a server that sends back what comes.
func echo(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return l.Addr().String()
}

// through returns a connection to an echo over a network with the faults.
func through(t *testing.T, faults ...proxy.Fault) (net.Conn, *proxy.Proxy) {
	t.Helper()
	p, err := proxy.New(proxy.Config{Seed: 1, Faults: faults})
	if err != nil {
		t.Fatal(err)
	}
	address, err := p.Front(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Close()
		if err := p.Close(); err != nil {
			t.Error("Close:", err)
		}
	})
	return c, p
}

func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// roundTrip sends b and returns what comes back until an error or all is there.
func roundTrip(c net.Conn, b []byte) ([]byte, error) {
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = c.Write(b)
	}()
	got := make([]byte, len(b))
	n, err := io.ReadFull(c, got)
	if err != nil {
		_ = c.Close()
	}
	<-sent
	return got[:n], err
}

func TestPassesOn(t *testing.T) {
	tests := []struct {
		name   string
		faults []proxy.Fault
	}{
		{"nothing", nil},
		{"latency", []proxy.Fault{{Kind: proxy.Latency, Rate: 1, Delay: time.Millisecond, Jitter: time.Millisecond}}},
		{"fragments", []proxy.Fault{{Kind: proxy.Fragment, Rate: 1, After: 5000}}},
		{"a short stall", []proxy.Fault{{Kind: proxy.Stall, Rate: 1, After: 5000, For: 10 * time.Millisecond}}},
		{"all of them", []proxy.Fault{
			{Kind: proxy.Fragment, At: []int64{1}},
			{Kind: proxy.Latency, Rate: 1, Delay: time.Millisecond, Direction: proxy.Up},
			{Kind: proxy.Stall, Rate: 1, After: 100_000, Within: 900_000, For: time.Millisecond, Direction: proxy.Down},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, p := through(t, tt.faults...)
			want := noise(1 << 20)
			if got, err := roundTrip(c, want); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes came back, %v; want the same %d", len(got), err, len(want))
			}
			struck := 0
			for _, n := range p.Stats().Struck {
				struck += int(n)
			}
			if struck != len(tt.faults) {
				t.Errorf("struck %v, want each of %d", p.Stats().Struck, len(tt.faults))
			}
		})
	}
}

func TestReset(t *testing.T) {
	const at = 100_001
	c, _ := through(t, proxy.Fault{Kind: proxy.Reset, Rate: 1, After: at})
	got, err := roundTrip(c, noise(1<<20))
	if !errors.Is(err, syscall.ECONNRESET) || len(got) > at {
		t.Errorf("%d bytes, %v; want a reset after %d", len(got), err, at)
	}
}

func TestCorrupt(t *testing.T) {
	const at = 77_777
	c, _ := through(t, proxy.Fault{Kind: proxy.Corrupt, Rate: 1, After: at, Direction: proxy.Up})
	want := noise(200_000)
	got, err := roundTrip(c, want)
	if err != nil {
		t.Fatal(err)
	}
	for i := range want {
		if turned := bits.OnesCount8(want[i] ^ got[i]); turned != 0 && i != at || i == at && turned != 1 {
			t.Fatalf("byte %d has %d wrong bits; want one, in byte %d", i, turned, at)
		}
	}
}

// TestHalfOpen: what came before the strike arrives, nothing else does, and
// the connection stays open.
func TestHalfOpen(t *testing.T) {
	for _, direction := range []string{proxy.Up, proxy.Down, proxy.Both} {
		t.Run(direction, func(t *testing.T) {
			const at = 1000
			c, p := through(t, proxy.Fault{Kind: proxy.HalfOpen, Rate: 1, After: at, Direction: direction})
			got := make([]byte, at)
			if _, err := c.Write(noise(at)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(c, got); err != nil {
				t.Fatal(err)
			}
			for p.Stats().Struck[proxy.HalfOpen] == 0 { // it strikes with the next byte
				if _, err := c.Write([]byte{1}); err != nil {
					t.Fatal(err)
				}
				runtime.Gosched()
			}
			_ = c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
			var timeout net.Error
			if n, err := c.Read(got); !errors.As(err, &timeout) || !timeout.Timeout() {
				t.Errorf("got %d bytes, %v; want nothing", n, err)
			}
		})
	}
}

func TestTrickle(t *testing.T) {
	c, _ := through(t, proxy.Fault{Kind: proxy.Trickle, Rate: 1, After: 1000, BytesPerSecond: 100, Direction: proxy.Down})
	start := time.Now()
	if _, err := roundTrip(c, noise(1020)); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took < 200*time.Millisecond {
		t.Errorf("20 bytes at 100 bytes/s took %v", took)
	}
}

// TestPlan: the same seed gives the same connections the same faults, Rate is
// kept to, and so is Times.
func TestPlan(t *testing.T) {
	struck := func(f proxy.Fault) (which []int) {
		p, err := proxy.New(proxy.Config{Seed: 7, Faults: []proxy.Fault{f}})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close() //nolint:errcheck // the test is about what it does before
		address, err := p.Front(echo(t))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 40 {
			c, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := roundTrip(c, noise(100)); err != nil {
				which = append(which, i)
			}
			_ = c.Close()
		}
		return which
	}
	f := proxy.Fault{Kind: proxy.Reset, Rate: 0.5, After: 10, Within: 90}
	first, second := struck(f), struck(f)
	if len(first) < 8 || len(first) > 32 || len(first) != len(second) {
		t.Errorf("struck %v, then %v; want about half, and the same", first, second)
	}
	f.Times = 3
	if third := struck(f); len(third) != 3 || third[0] != first[0] {
		t.Errorf("struck %v, want the first three of %v", third, first)
	}
	for _, bad := range []proxy.Fault{{Kind: "x", Rate: 1}, {Kind: proxy.Reset}, {Kind: proxy.Reset, Rate: 2}, {Kind: proxy.Reset, At: []int64{0}}, {Kind: proxy.Stall, Rate: 1, Direction: "left"}} {
		if _, err := proxy.New(proxy.Config{Faults: []proxy.Fault{bad}}); err == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
}
