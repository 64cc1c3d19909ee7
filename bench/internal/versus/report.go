package versus

import (
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/tghaul/haul/bench/internal/rig"
	"github.com/tghaul/haul/internal/chart"
)

var (
	far     = []int{0, 20, 80, 200}
	lanes   = []int{1, 2, 4, 8, 16}
	clients = []string{"haul", noHash, "gotd", plainGotd, hashGotd, "mtcute"}
	onFar   = []string{"haul", "gotd", tdl, "mtcute"}
)

func (d *Data) cost(client, direction string) []Sample {
	return d.of(Sample{Phase: "cost", Client: client, Direction: direction, Connections: connections})
}

func (d *Data) median(like Sample, of func(Sample) float64) float64 {
	return median(values(d.of(like), of))
}

// Figures are those that have a target. gotd computes no hash in any of them.
func (d *Data) Figures(report *rig.Report) {
	for _, direction := range []string{"download", "upload"} {
		gotd := d.cost("gotd", direction)
		theirs := median(values(gotd, cpu))
		if bare := d.cost(noHash, direction); len(bare) > 0 && len(gotd) > 0 {
			mine := median(values(bare, cpu))
			report.AtLeast(direction+"_cpu_gotd_to_haul_without_hash", theirs/mine, 5, "")
			report.AtMost(direction+"_cpu_without_hash", mine, map[string]float64{"download": 1.0, "upload": 0.9}[direction], "s/GiB")
		}
		if ours := d.cost("haul", direction); len(ours) > 0 && len(gotd) > 0 {
			report.AtLeast(direction+"_cpu_gotd_to_haul", theirs/median(values(ours, cpu)), 3.5, "")
			report.AtLeast(direction+"_rate_haul_to_gotd", median(values(ours, rate))/median(values(gotd, rate)), 3, "")
		}
	}
	line := Sample{Phase: "rtt", Direction: "download", RTT: 80, Client: "haul"}
	policy := line
	policy.Client = tdl
	if len(d.of(line)) > 0 && len(d.of(policy)) > 0 {
		report.AtLeast("rate_80ms_haul_to_tdl", d.median(line, rate)/d.median(policy, rate), 4, "")
	}
}

// A table is one of Markdown.
type table struct{ b strings.Builder }

func (t *table) row(cells ...string) { fmt.Fprintf(&t.b, "| %s |\n", strings.Join(cells, " | ")) }

// span is the median of sorted values and, if there are several, the least and greatest.
func span(v []float64, digits int) string {
	number := func(f float64) string { return strconv.FormatFloat(f, 'f', digits, 64) }
	switch {
	case len(v) == 0:
		return "–"
	case len(v) == 1 || number(v[0]) == number(v[len(v)-1]):
		return number(median(v))
	default:
		return fmt.Sprintf("%s (%s–%s)", number(median(v)), number(v[0]), number(v[len(v)-1]))
	}
}

func ratio(a, b float64) string {
	if a == 0 || b == 0 {
		return "–"
	}
	return strconv.FormatFloat(a/b, 'f', 1, 64)
}

// Markdown is the tables, with what they were measured on.
func (d *Data) Markdown() string {
	t := new(table)
	fmt.Fprintf(&t.b, "Measured on %s, commit %s: %s. Load averages when it began: %s.\n", d.Date, d.Commit, d.Machine, d.Load)
	if list := d.cost("haul", "download"); len(list) > 0 {
		fmt.Fprintf(&t.b, "The large file has %.0f MiB; %d runs of each client. ", list[0].MiB, len(list))
	}
	t.b.WriteString("Medians; least and greatest in brackets. CPU and memory are of the whole process (for uploads without SHA-256 CPU is of the transfer alone: that process makes the file).\n\n")
	t.row("client", "direction", "CPU-s/GiB", "to haul's", "MiB/s", "haul's to it", "RSS, MiB")
	t.row("---", "---", "---", "---", "---", "---", "---")
	for _, direction := range []string{"download", "upload"} {
		mine := d.cost("haul", direction)
		for _, c := range clients {
			list := d.cost(c, direction)
			if len(list) == 0 {
				continue
			}
			t.row(c, direction, span(values(list, cpu), 2), ratio(median(values(list, cpu)), median(values(mine, cpu))),
				span(values(list, rate), 0), ratio(median(values(mine, rate)), median(values(list, rate))), span(values(list, rss), 0))
		}
	}
	t.b.WriteByte('\n')
	d.sweep(t, "connections, MiB/s down", "connections", []string{"haul", "gotd"}, lanes, func(s *Sample, n int) { s.Connections = n })
	t.b.WriteByte('\n')
	d.sweep(t, "round trip in ms, MiB/s down", "rtt", onFar, far, func(s *Sample, n int) { s.RTT = n })
	t.b.WriteByte('\n')
	t.row("client", "small files a second", "CPU-ms a file", "one small file, process start to end, ms")
	t.row("---", "---", "---", "---")
	for _, c := range []string{"haul", "gotd", "mtcute"} {
		few := Sample{Phase: "files", Client: c, Direction: "download", Connections: connections}
		one := few
		one.Phase = "start"
		if len(d.of(few))+len(d.of(one)) == 0 {
			continue
		}
		t.row(c, span(values(d.of(few), perSec), 0), span(values(d.of(few), func(s Sample) float64 { return s.CPU / float64(s.Files) * 1e3 }), 2),
			span(values(d.of(one), func(s Sample) float64 { return s.Elapsed * 1e3 }), 0))
	}
	return t.b.String()
}

func (d *Data) sweep(t *table, title, phase string, names []string, steps []int, set func(*Sample, int)) {
	head, line := []string{title}, []string{"---"}
	for _, n := range steps {
		head, line = append(head, strconv.Itoa(n)), append(line, "---")
	}
	t.row(head...)
	t.row(line...)
	for _, c := range names {
		row, any := []string{c}, false
		for _, n := range steps {
			like := Sample{Phase: phase, Client: c, Direction: "download"}
			set(&like, n)
			list := d.of(like)
			any = any || len(list) > 0
			row = append(row, span(values(list, rate), 0))
		}
		if any {
			t.row(row...)
		}
	}
}

// Marks of what is written by this program in a document.
const begin, end = "<!-- peers: written by make bench-peers -->", "<!-- end of peers -->"

// Insert puts the tables between the marks of a document.
func (d *Data) Insert(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, found := strings.Cut(string(b), begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		return fmt.Errorf("%s has no %s … %s to write between", path, begin, end)
	}
	return os.WriteFile(path, []byte(before+begin+"\n\n"+d.Markdown()+"\n"+end+after), 0o644)
}

// Plots draws the pictures into a folder.
func (d *Data) Plots(dir string) error {
	charts := map[string]*chart.Chart{
		"peers_cpu": {
			Title: "CPU seconds of the client for each GiB", Subtitle: d.about("one large file over loopback, 8 connections"), Unit: "s/GiB", Bars: true,
			Categories: []string{"download", "upload"}, Series: d.series(clients, 2, func(c string, i int) float64 {
				return median(values(d.cost(c, []string{"download", "upload"}[i]), cpu))
			}),
		},
		"peers_memory": {
			Title: "Resident memory of the client", Subtitle: d.about("one large file over loopback, 8 connections"), Unit: "MiB", Bars: true,
			Categories: []string{"download", "upload"}, Series: d.series(clients, 2, func(c string, i int) float64 {
				return median(values(d.cost(c, []string{"download", "upload"}[i]), rss))
			}),
		},
		"peers_connections": {
			Title: "Throughput by connections", Subtitle: d.about("one large file down over loopback"), Unit: "MiB/s", Axis: "connections",
			Categories: words(lanes), Series: d.series([]string{"haul", "gotd"}, len(lanes), func(c string, i int) float64 {
				return d.median(Sample{Phase: "connections", Client: c, Direction: "download", Connections: lanes[i]}, rate)
			}),
		},
		"peers_rtt": {
			Title: "Throughput by round trip", Subtitle: d.about("one large file down, nothing else limits the line; haul by its default settings"),
			Unit: "MiB/s", Axis: "round trip, ms",
			Categories: words(far), Series: d.series(onFar, len(far), func(c string, i int) float64 {
				return d.median(Sample{Phase: "rtt", Client: c, Direction: "download", RTT: far[i]}, rate)
			}),
		},
		"peers_files": {
			Title: "Small files in a second", Subtitle: d.about("documents of 4 to 64 KiB; haul syncs each file to disk and records it"), Unit: "files/s", Bars: true,
			Categories: []string{"download"}, Series: d.series([]string{"haul", "gotd", "mtcute"}, 1, func(c string, _ int) float64 {
				return d.median(Sample{Phase: "files", Client: c, Direction: "download", Connections: connections}, perSec)
			}),
		},
		"peers_start": {
			Title: "Start of the process to its end, for one file of 64 KiB", Subtitle: d.about("signed in before"), Unit: "ms", Bars: true,
			Categories: []string{"download"}, Series: d.series([]string{"haul", "gotd", "mtcute"}, 1, func(c string, _ int) float64 {
				return 1e3 * d.median(Sample{Phase: "start", Client: c, Direction: "download", Connections: connections}, func(s Sample) float64 { return s.Elapsed })
			}),
		},
	}
	for name, c := range charts {
		if len(c.Series) == 0 {
			continue
		}
		if err := SaveChart(filepath.Join(dir, name+".svg"), c); err != nil {
			return err
		}
	}
	return nil
}

func (d *Data) about(what string) string { return what + "; measured " + d.Date }

// series are those of the clients that have any value.
func (d *Data) series(names []string, n int, of func(client string, i int) float64) (list []chart.Series) {
	for _, c := range names {
		s := chart.Series{Name: c}
		for i := range n {
			v := of(c, i)
			if v == 0 {
				v = math.NaN()
			}
			s.Values = append(s.Values, v)
		}
		if slices.ContainsFunc(s.Values, func(v float64) bool { return !math.IsNaN(v) }) {
			list = append(list, s)
		}
	}
	return list
}

func words(list []int) (texts []string) {
	for _, n := range list {
		texts = append(texts, strconv.Itoa(n))
	}
	return texts
}

// SaveChart writes a picture.
func SaveChart(path string, c io.WriterTo) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = c.WriteTo(f)
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}
