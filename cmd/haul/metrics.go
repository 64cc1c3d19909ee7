package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/tghaul/haul/transfer"
)

// metricsDisplay shows the events of a run to a monitoring system: metrics in
// Prometheus' text format at /metrics, and Go's profiles at /debug/pprof/.
type metricsDisplay struct {
	address string
	server  *http.Server
	serving sync.WaitGroup
	set     *metrics.Set

	mu    sync.Mutex // guards what follows
	state transfer.Progress
	stop  int // reasons for which all is paused
}

// metricsEnd is how long a scrape under way may take when the run is over.
const metricsEnd = time.Second

// serveMetrics listens on an address. Without a host it is this machine's alone:
// profiles show more than strangers should see.
func serveMetrics(ctx context.Context, address string) (*metricsDisplay, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil && !strings.Contains(address, ":") {
		host, port, err = "", address, nil
	}
	if err != nil {
		return nil, usagef("--metrics %q: want HOST:PORT, or a port: %w", address, err)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, fmt.Errorf("--metrics: %w", err)
	}
	m := &metricsDisplay{address: l.Addr().String(), set: metrics.NewSet()}
	m.register()
	m.server = &http.Server{Handler: m.routes(), ReadHeaderTimeout: 10 * time.Second}
	m.serving.Go(func() {
		if err := m.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			_ = l.Close() // the run goes on unwatched
		}
	})
	return m, nil
}

func (m *metricsDisplay) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		m.set.WritePrometheus(w)
		metrics.WriteProcessMetrics(w)
	})
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

// register names the gauges that are read from the last Progress. docs/formats.md
// lists all metrics.
func (m *metricsDisplay) register() {
	for name, read := range map[string]func(p transfer.Progress) float64{
		`haul_files{state="done"}`:    func(p transfer.Progress) float64 { return float64(p.FilesDone) },
		`haul_files{state="failed"}`:  func(p transfer.Progress) float64 { return float64(p.FilesFailed) },
		`haul_files{state="skipped"}`: func(p transfer.Progress) float64 { return float64(p.FilesSkipped) },
		`haul_files{state="active"}`:  func(p transfer.Progress) float64 { return float64(len(p.Active)) },
		`haul_files{state="known"}`:   func(p transfer.Progress) float64 { return float64(p.FilesKnown) },
		"haul_moved_bytes":            func(p transfer.Progress) float64 { return float64(p.Bytes) },
		"haul_done_bytes":             func(p transfer.Progress) float64 { return float64(p.BytesDone) },
		"haul_known_bytes":            func(p transfer.Progress) float64 { return float64(p.BytesKnown) },
		"haul_bytes_per_second":       func(p transfer.Progress) float64 { return float64(p.BytesRate) },
	} {
		m.set.NewGauge(name, func() float64 {
			m.mu.Lock()
			defer m.mu.Unlock()
			return read(m.state)
		})
	}
	m.set.NewGauge("haul_paused", func() float64 {
		m.mu.Lock()
		defer m.mu.Unlock()
		return float64(m.stop)
	})
}

func (m *metricsDisplay) event(e transfer.Event) {
	switch e := e.(type) {
	case transfer.Progress:
		m.mu.Lock()
		m.state = e
		m.mu.Unlock()
	case transfer.FloodWait:
		labels := fmt.Sprintf(`{method=%q,dc="%d",reason=%q}`, e.Method, e.DC, e.Reason)
		m.set.GetOrCreateCounter("haul_flood_waits_total" + labels).Inc()
		m.set.GetOrCreateFloatCounter("haul_flood_wait_seconds_total" + labels).Add(e.Seconds)
	case transfer.ReferenceRefreshed:
		m.set.GetOrCreateCounter("haul_reference_refreshes_total").Inc()
	case transfer.FileFailed:
		m.set.GetOrCreateCounter(fmt.Sprintf(`haul_file_failures_total{retryable="%t"}`, e.Retryable)).Inc()
	case transfer.Paused:
		m.pause(1)
	case transfer.Resumed:
		m.pause(-1)
	case transfer.RunDone:
		m.set.GetOrCreateCounter("haul_reconnects_total").Add(e.Reconnects)
	}
}

func (m *metricsDisplay) pause(n int) {
	m.mu.Lock()
	m.stop += n
	m.mu.Unlock()
}

func (m *metricsDisplay) close() {
	ctx, cancel := context.WithTimeout(context.Background(), metricsEnd)
	defer cancel()
	if err := m.server.Shutdown(ctx); err != nil {
		_ = m.server.Close()
	}
	m.serving.Wait()
}
