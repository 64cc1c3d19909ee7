package dctest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"sync"

	"github.com/tghaul/haul/telegram/dctest/internal/mtserver"
	"github.com/tghaul/haul/telegram/dctest/proxy"
)

// Stats is what a cluster has counted since its start. See docs/formats.md.
type Stats struct {
	// Methods by "upload.getFile", then by DC.
	Methods map[string]map[string]MethodStats `json:"methods"`
	// Files that were served, by file id.
	Files map[string]FileStats `json:"files"`
	// Uploads by the client's file id: how often each part came more than once.
	Uploads map[string]FileStats `json:"uploads"`
	// Sent are the messages with files that clients have sent, in no order
	// over chats, in that of the chat within one.
	Sent               []SentFile                `json:"sent"`
	WaitsIssued        int64                     `json:"waits_issued"`
	RequestsInsideWait int64                     `json:"requests_inside_wait"`
	Connections        int64                     `json:"connections"`
	DCs                map[string]mtserver.Stats `json:"dcs"`
	Network            proxy.Stats               `json:"network"` // in front of the cluster
	Faults             map[string]int64          `json:"faults"`  // of the scenario that struck, by kind
	Takeouts           TakeoutStats              `json:"takeouts"`
}

// MethodStats counts the calls of a method.
type MethodStats struct {
	Requests int64            `json:"requests"`
	Answers  int64            `json:"answers"`
	Errors   map[string]int64 `json:"errors,omitempty"`
}

// FileStats says what was moved of a file.
type FileStats struct {
	Name     string `json:"name,omitempty"`
	Size     int64  `json:"size,omitempty"`
	SHA256   string `json:"sha256,omitempty"`
	Bytes    int64  `json:"bytes"`
	Parts    int64  `json:"parts"`
	Repeated int64  `json:"repeated"` // parts that moved more than once
}

// A SentFile is a message with a file that a client has sent.
type SentFile struct {
	Chat    int64  `json:"chat"` // id of the channel or, of Saved Messages, the user
	Message int    `json:"message"`
	Name    string `json:"name"`
	Size    int64  `json:"size"`
	SHA256  string `json:"sha256"`
}

type counters struct {
	mu      sync.Mutex
	methods map[string]map[string]MethodStats
	files   map[int64]*fileCount
	uploads map[int64]*fileCount
	sums    map[int64]string // SHA-256 of files that were asked for before
}

type fileCount struct {
	bytes int64
	parts map[int64]int
}

func newCounters() *counters {
	return &counters{methods: map[string]map[string]MethodStats{}, files: map[int64]*fileCount{}, uploads: map[int64]*fileCount{}, sums: map[int64]string{}}
}

func (c *counters) count(r *request, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.methods[r.method] == nil {
		c.methods[r.method] = map[string]MethodStats{}
	}
	dc := strconv.Itoa(r.DC)
	m := c.methods[r.method][dc]
	m.Requests++
	var e *mtserver.Error
	switch {
	case err == nil:
		m.Answers++
	case errors.As(err, &e):
		if m.Errors == nil {
			m.Errors = map[string]int64{}
		}
		m.Errors[e.Message]++
	}
	c.methods[r.method][dc] = m
}

func note(files map[int64]*fileCount, id, place int64, n int) {
	f := files[id]
	if f == nil {
		f = &fileCount{parts: map[int64]int{}}
		files[id] = f
	}
	f.bytes += int64(n)
	f.parts[place]++
}

func (c *counters) served(id, offset int64, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	note(c.files, id, offset, n)
}

func (c *counters) partSaved(id int64, number, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	note(c.uploads, id, int64(number), n)
}

func (f *fileCount) stats() FileStats {
	s := FileStats{Bytes: f.bytes, Parts: int64(len(f.parts))}
	for _, n := range f.parts {
		s.Repeated += int64(n - 1)
	}
	return s
}

// Stats returns the counters. SHA-256 sums of files that were served are
// computed now, which takes a moment for big ones.
func (c *Cluster) Stats() Stats {
	s := Stats{Files: map[string]FileStats{}, Uploads: map[string]FileStats{}, DCs: map[string]mtserver.Stats{}}
	for id, dc := range c.dcs {
		st := dc.Stats()
		s.DCs[strconv.Itoa(id)] = st
		s.Connections += st.Connections
	}
	c.stats.mu.Lock()
	counted := map[int64]FileStats{}
	for id, f := range c.stats.files {
		counted[id] = f.stats()
	}
	for id, f := range c.stats.uploads {
		s.Uploads[strconv.FormatInt(id, 10)] = f.stats()
	}
	b, _ := json.Marshal(c.stats.methods) // a deep copy; plain maps always marshal
	_ = json.Unmarshal(b, &s.Methods)
	c.stats.mu.Unlock()
	s.WaitsIssued, s.RequestsInsideWait = c.flood.Counts()
	for id, fs := range counted {
		c.mu.Lock()
		f := c.world.file(id)
		c.mu.Unlock()
		if f != nil {
			fs.Name, fs.Size = f.fileName(), f.size
			fs.SHA256 = c.sum(f)
		}
		s.Files[strconv.FormatInt(id, 10)] = fs
	}
	s.Sent = c.sentFiles()
	s.Faults = c.faults.counts()
	c.mu.Lock()
	s.Takeouts = c.takeouts.counts
	s.Takeouts.Calls = maps.Clone(s.Takeouts.Calls)
	c.mu.Unlock()
	if c.network != nil {
		s.Network = c.network.Stats()
	}
	return s
}

// sentFiles lists the messages with files that clients have sent.
func (c *Cluster) sentFiles() []SentFile {
	type sent struct {
		chat    int64
		message int
		file    *worldFile
	}
	var found []sent
	c.mu.Lock()
	for _, ch := range slices.Concat(c.world.channels, slices.Collect(maps.Values(c.world.saved))) {
		for _, m := range ch.sent {
			if m.file != nil {
				found = append(found, sent{ch.id, m.id, m.file})
			}
		}
	}
	c.mu.Unlock()
	var list []SentFile
	for _, s := range found {
		list = append(list, SentFile{Chat: s.chat, Message: s.message, Name: s.file.fileName(), Size: s.file.size, SHA256: c.sum(s.file)})
	}
	return list
}

// sum is the SHA-256 of a file in hex, "" if it cannot be read. The bytes of a
// file never change, so each sum is computed once.
func (c *Cluster) sum(f *worldFile) string {
	c.stats.mu.Lock()
	text, known := c.stats.sums[f.id]
	c.stats.mu.Unlock()
	if known {
		return text
	}
	text, err := sum(f.data)
	if err == nil {
		c.stats.mu.Lock()
		c.stats.sums[f.id] = text
		c.stats.mu.Unlock()
	}
	return text
}

// WriteStats writes the counters as JSON.
func (c *Cluster) WriteStats(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(c.Stats())
}

// sum is the SHA-256 of a source in hex.
func sum(s source) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(s, 0, s.Size())); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
