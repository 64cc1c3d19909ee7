package main

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tghaul/haul/transfer"
)

func TestMetrics(t *testing.T) {
	m, err := serveMetrics(t.Context(), "0")
	if err != nil {
		t.Fatal(err)
	}
	if host, _, _ := net.SplitHostPort(m.address); host != "127.0.0.1" {
		t.Errorf("listens at %s, want at this machine only", m.address)
	}
	m.event(transfer.Progress{FilesDone: 3, FilesKnown: 7, Bytes: 1000, BytesKnown: 5000, Active: make([]transfer.FileProgress, 2)})
	wait := transfer.FloodWait{Method: "upload.getFile", DC: 4, Reason: "FLOOD_WAIT", Seconds: 2.5}
	m.event(wait)
	m.event(wait)
	m.event(transfer.Paused{})
	m.event(transfer.FileFailed{Retryable: true})
	text := get(t, "http://"+m.address+"/metrics")
	for _, want := range []string{
		`haul_files{state="done"} 3`, `haul_files{state="active"} 2`, `haul_moved_bytes 1000`, `haul_known_bytes 5000`, `haul_paused 1`,
		`haul_flood_waits_total{method="upload.getFile",dc="4",reason="FLOOD_WAIT"} 2`,
		`haul_flood_wait_seconds_total{method="upload.getFile",dc="4",reason="FLOOD_WAIT"} 5`,
		`haul_file_failures_total{retryable="true"} 1`, `go_goroutines`,
	} {
		if !strings.Contains(text, want+"\n") && !strings.Contains(text, want+" ") {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	m.event(transfer.Resumed{})
	if text := get(t, "http://"+m.address+"/metrics"); !strings.Contains(text, "haul_paused 0\n") {
		t.Error("still paused")
	}
	if text := get(t, "http://"+m.address+"/debug/pprof/"); !strings.Contains(text, "goroutine") {
		t.Errorf("no profiles: %s", text)
	}
	m.close()
	if c, err := net.DialTimeout("tcp", m.address, time.Second); err == nil {
		_ = c.Close()
		t.Error("it listens still")
	}
}

func TestMetricsAddress(t *testing.T) {
	for _, address := range []string{"nonsense:1:2", "[::1"} {
		m, err := serveMetrics(t.Context(), address)
		var usage *usageErr
		if !errors.As(err, &usage) {
			t.Errorf("%q: %v, want that it is no address", address, err)
		}
		if err == nil {
			m.close()
		}
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url) //nolint:noctx // of this machine
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // read
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
