package soak

import (
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"time"

	"go.uber.org/goleak"
)

// leaks compares what is open and running with what was at the start.
type leaks struct {
	goroutines goleak.Option
	files      int
}

func newLeaks() (*leaks, error) {
	// The first socket brings the poller's descriptors, which stay.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	if err := l.Close(); err != nil {
		return nil, err
	}
	return &leaks{goroutines: goleak.IgnoreCurrent(), files: descriptors()}, nil
}

// look counts what is left over. Sockets close a moment after they are told to.
func (l *leaks) look(t *Totals, log io.Writer) {
	if err := goleak.Find(l.goroutines); err != nil {
		t.Goroutines++
		_, _ = fmt.Fprintln(log, "soak: goroutines are left:", err)
	}
	now := descriptors()
	for end := time.Now().Add(2 * time.Second); now > l.files && time.Now().Before(end); now = descriptors() {
		time.Sleep(50 * time.Millisecond)
	}
	if now > l.files {
		t.Descriptors += now - l.files
		_, _ = fmt.Fprintf(log, "soak: %d file descriptors are open, %d were at the start\n", now, l.files)
	}
}

// descriptors is how many this process has open; 0 where that cannot be told.
func descriptors() int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(list)
}

// stacks shows what every goroutine does.
func stacks() []byte {
	b := make([]byte, 4<<20)
	return b[:runtime.Stack(b, true)]
}
