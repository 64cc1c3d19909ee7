package transfer

import (
	"strconv"
	"time"
)

// An Event is something that happened in a run. Marshalled to JSON it is one
// line of the program's --json output, with "event" and "time" first; the
// names of the fields are stable. Ids are strings, since they need 64 bits.
type Event interface {
	// Head is the part that all events have in common.
	Head() Header
}

// A Header begins every event.
type Header struct {
	Event string    `json:"event"`
	Time  time.Time `json:"time"`
}

// Head implements Event.
func (h Header) Head() Header { return h }

// A Direction tells downloads from uploads.
type Direction string

// Directions.
const (
	Downloads Direction = "download"
	Uploads   Direction = "upload"
)

// RunStarted is the first event of a run.
type RunStarted struct {
	Header
	Direction Direction `json:"direction"`
}

// FileStarted says that a file is open and its missing parts are known.
type FileStarted struct {
	Header
	ID           int64  `json:"id,string"`
	Path         string `json:"path"`
	Size         int64  `json:"size"`
	DC           int    `json:"dc"`
	ResumedBytes int64  `json:"resumed_bytes"` // proven to be there already
}

// Progress tells how far the run is. It comes at most once every
// Options.ProgressInterval.
type Progress struct {
	Header
	FilesDone    int   `json:"files_done"`
	FilesFailed  int   `json:"files_failed"`
	FilesSkipped int   `json:"files_skipped"`
	FilesKnown   int   `json:"files_known"`  // taken from the list so far
	ListComplete bool  `json:"list_done"`    // whether FilesKnown is all of them
	Bytes        int64 `json:"bytes"`        // of parts moved in this run
	BytesDone    int64 `json:"bytes_done"`   // Bytes, and what was there before
	BytesKnown   int64 `json:"bytes_known"`  // size of all files known
	BytesRate    int64 `json:"bytes_second"` // over the last few seconds
	// Active are the files under way, in order of start.
	Active []FileProgress `json:"active"`
}

// FileProgress is how far one file is.
type FileProgress struct {
	ID    int64  `json:"id,string"`
	Path  string `json:"path"`
	Bytes int64  `json:"bytes"`
	Size  int64  `json:"size"`
}

// FloodWait says that Telegram asked to wait, and what is held back by it.
type FloodWait struct {
	Header
	Scope   string  `json:"scope"` // "upload.getFile at DC 4"
	Seconds float64 `json:"seconds"`
	Reason  string  `json:"reason"` // "FLOOD_WAIT" or "FLOOD_PREMIUM_WAIT"
	DC      int     `json:"dc"`
	Method  string  `json:"method"`
}

// LimitLearned says that a wait has taught something about what the server
// permits. Requests are paced by it from now on.
type LimitLearned struct {
	Header
	Scope     string  `json:"scope"`
	DC        int     `json:"dc"`
	Method    string  `json:"method"`
	Premium   bool    `json:"premium"`    // a limit that Premium accounts do not have
	PerSecond float64 `json:"per_second"` // requests; 0: not known
	InFlight  int     `json:"in_flight"`  // requests at the same time; 0: not known
}

// ReferenceRefreshed says that files of a chat got new file references.
type ReferenceRefreshed struct {
	Header
	Chat  int64 `json:"chat"`  // marked id
	Files int   `json:"files"` // how many, in this one call
}

// FileDone says that a file is complete under its final name, or sent.
type FileDone struct {
	Header
	ID           int64  `json:"id,string"`
	Path         string `json:"path"`
	Size         int64  `json:"size"`
	SHA256       string `json:"sha256"` // in hexadecimal
	ResumedBytes int64  `json:"resumed_bytes"`
	Chat         int64  `json:"chat,omitempty"`    // marked id; of downloads
	Message      int    `json:"message,omitempty"` // where the file is, or has become
}

// FileSkipped says that a file was complete, or sent, before the run.
type FileSkipped struct {
	Header
	ID      int64  `json:"id,string"`
	Path    string `json:"path"`
	Size    int64  `json:"size"`
	SHA256  string `json:"sha256"`
	Chat    int64  `json:"chat,omitempty"`
	Message int    `json:"message,omitempty"`
	Reason  string `json:"reason,omitempty"` // of uploads: SkipSent, or as Upload.Skip says
}

// FileFailed says that a file was given up. What was fetched of it is kept.
type FileFailed struct {
	Header
	ID        int64  `json:"id,string"`
	Path      string `json:"path"`
	Error     string `json:"error"`
	Retryable bool   `json:"retryable"` // running again may help
	Chat      int64  `json:"chat,omitempty"`
	Message   int    `json:"message,omitempty"` // of downloads
}

// FileNote tells something about a file of which who sends it may want to know:
// it is sent as a document although it is a photo, say.
type FileNote struct {
	Header
	Path string `json:"path"`
	Text string `json:"text"`
}

// DiskFull is the reason of a pause: a disk is too full to go on.
const DiskFull = "disk_full"

// Paused says that the run waits, and for what. It goes on by itself.
type Paused struct {
	Header
	Reason string `json:"reason"` // DiskFull
	Error  string `json:"error"`  // what could not be done
}

// Resumed says that a paused run goes on.
type Resumed struct {
	Header
	Reason  string  `json:"reason"`  // of the pause
	Seconds float64 `json:"seconds"` // how long it was
}

// RunDone is the last event of a run.
type RunDone struct {
	Header
	Counters
}

// header stamps an event.
func header(event string, now time.Time) Header { return Header{Event: event, Time: now} }

// scopeName names a flood scope for people.
func scopeName(dc int, method string) string { return method + " at DC " + strconv.Itoa(dc) }
