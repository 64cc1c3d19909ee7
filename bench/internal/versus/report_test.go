package versus

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tghaul/haul/bench/internal/rig"
)

func sampled() *Data {
	d := &Data{Date: "2026-01-02", Commit: "abc", Machine: "a machine"}
	for _, s := range []struct {
		client string
		cpu    []float64
		secs   float64
	}{{"haul", []float64{1, 3, 2}, 1}, {noHash, []float64{1.5}, 1}, {"gotd", []float64{8, 9, 10}, 4}} {
		for _, cpu := range s.cpu {
			d.Samples = append(d.Samples, Sample{
				Phase: "cost", Client: s.client, Direction: "download", Connections: connections, MiB: 1024, Files: 1, Seconds: s.secs, CPU: cpu, RSS: 50,
			})
		}
	}
	for client, secs := range map[string]float64{"haul": 2, tdl: 10} {
		d.Samples = append(d.Samples, Sample{Phase: "rtt", Client: client, Direction: "download", RTT: 80, MiB: 512, Files: 1, Seconds: secs})
	}
	return d
}

func TestMarkdown(t *testing.T) {
	text := sampled().Markdown()
	for _, want := range []string{
		"| haul | download | 2.00 (1.00–3.00) | 1.0 | 1024 | 1.0 | 50 |",
		"| gotd | download | 9.00 (8.00–10.00) | 4.5 | 256 | 4.0 | 50 |",
		"| tdl's policy | – | – | 51 | – |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "mtcute") {
		t.Errorf("a client without samples is in\n%s", text)
	}
}

func TestFigures(t *testing.T) {
	var out strings.Builder
	sampled().Figures(rig.NewReport("peers", &out))
	for _, want := range []string{`"download_cpu_gotd_to_haul","value":4.5`, `"download_cpu_gotd_to_haul_without_hash","value":6,`, `"download_cpu_without_hash","value":1.5,`, `"rate_80ms_haul_to_tdl","value":5,`, `"download_rate_haul_to_gotd","value":4,`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in\n%s", want, out.String())
		}
	}
}

// What stands around the marks stays, and what stood between them goes.
func TestInsert(t *testing.T) {
	path := filepath.Join(t.TempDir(), "doc.md")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("before\n" + begin + "\nold\n" + end + "\nafter\n")
	for range 2 {
		if err := sampled().Insert(path); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path)
	text := string(b)
	if err != nil || !strings.HasPrefix(text, "before\n"+begin) || !strings.HasSuffix(text, end+"\nafter\n") || strings.Contains(text, "old") ||
		strings.Count(text, "| gotd | download |") != 1 {
		t.Errorf("%v\n%s", err, text)
	}
	write("no marks")
	if err := sampled().Insert(path); err == nil {
		t.Error("a document without marks was written to")
	}
}

func TestSaveAndLoad(t *testing.T) {
	path, d := filepath.Join(t.TempDir(), "data.json"), sampled()
	if err := d.Save(path); err != nil {
		t.Fatal(err)
	}
	got, err := Load(path)
	if err != nil || got.Markdown() != d.Markdown() {
		t.Errorf("%v: loaded data says\n%s", err, got.Markdown())
	}
	dir := t.TempDir()
	if err := got.Plots(dir); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(dir, "peers_cpu.svg"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // only read
	if b, err := io.ReadAll(f); err != nil || !strings.Contains(string(b), "gotd") {
		t.Errorf("%v: %s", err, b)
	}
}
