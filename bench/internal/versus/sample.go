// Package versus measures haul beside clients that others wrote, and makes
// figures, a table and pictures of what it has measured.
package versus

import (
	"encoding/json"
	"os"
	"slices"
	"time"

	"github.com/tghaul/haul/bench/internal/rig"
)

// A Sample is one run of one client.
type Sample struct {
	Phase       string  `json:"phase"` // cost, connections, rtt, files or start
	Client      string  `json:"client"`
	Direction   string  `json:"direction"` // download or upload
	Connections int     `json:"connections,omitempty"`
	RTT         int     `json:"rtt_ms,omitempty"`
	MiB         float64 `json:"mib"`
	Files       int     `json:"files"`
	Seconds     float64 `json:"seconds"` // of the transfer alone, as the client says
	Elapsed     float64 `json:"elapsed"` // of the whole process
	CPU         float64 `json:"cpu_seconds"`
	RSS         float64 `json:"rss_mib"`
}

// Data is what one run of the workload has measured.
type Data struct {
	Date    string   `json:"date"`
	Commit  string   `json:"commit"`
	Machine string   `json:"machine"`
	Load    string   `json:"load,omitempty"` // load averages when it began
	Samples []Sample `json:"samples"`
}

// Load reads data.
func Load(path string) (*Data, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	d := new(Data)
	return d, json.Unmarshal(b, d)
}

// Save writes data, a sample a line.
func (d *Data) Save(path string) error {
	b, err := json.MarshalIndent(d, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

// of are the samples that agree with one in the fields that say what was done.
func (d *Data) of(like Sample) (list []Sample) {
	for _, s := range d.Samples {
		if s.Phase == like.Phase && s.Client == like.Client && s.Direction == like.Direction &&
			s.Connections == like.Connections && s.RTT == like.RTT {
			list = append(list, s)
		}
	}
	return list
}

func values(list []Sample, of func(Sample) float64) []float64 {
	var v []float64
	for _, s := range list {
		v = append(v, of(s))
	}
	slices.Sort(v)
	return v
}

func rate(s Sample) float64   { return s.MiB / s.Seconds }
func cpu(s Sample) float64    { return s.CPU / s.MiB * 1024 }
func rss(s Sample) float64    { return s.RSS }
func perSec(s Sample) float64 { return float64(s.Files) / s.Seconds }

// median of sorted values, 0 of none.
func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// theirs makes a sample of what a peer did.
func theirs(like Sample, m *rig.Moved) Sample {
	like.MiB, like.Files, like.Seconds = float64(m.Bytes)/(1<<20), m.Files, m.Seconds
	like.Elapsed, like.CPU, like.RSS = m.Elapsed.Seconds(), m.CPU.Seconds(), m.MaxRSS
	return like
}

// ours makes one of what haul did.
func ours(like Sample, r *rig.Result) Sample {
	like.MiB, like.Files, like.Seconds = float64(r.Run.Bytes)/(1<<20), r.Run.FilesDone, r.Run.Seconds
	like.Elapsed, like.CPU, like.RSS = r.Elapsed.Seconds(), r.CPU.Seconds(), r.MaxRSS
	return like
}

func today() string { return time.Now().UTC().Format(time.DateOnly) }
