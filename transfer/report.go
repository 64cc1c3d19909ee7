package transfer

import (
	"time"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/telegram"
)

// Counters sum up a run. They are the fields of run_done.
type Counters struct {
	FilesDone    int `json:"files_done"`
	FilesFailed  int `json:"files_failed"`  // and were not done later in the run
	FilesSkipped int `json:"files_skipped"` // complete before the run
	// Bytes is the size of the files finished in this run.
	Bytes int64 `json:"bytes"`
	// BytesReceived is the payload of the parts that arrived (or, of uploads,
	// that the server confirmed): 0 when nothing was new.
	BytesReceived int64 `json:"bytes_received"`
	// BytesResent and PartsRepeated count what was moved a second time.
	BytesResent        int64   `json:"bytes_resent"`
	Parts              int     `json:"parts"`
	PartsRepeated      int     `json:"parts_repeated"`
	FloodWaits         int     `json:"flood_waits"`
	WaitSeconds        float64 `json:"wait_seconds"`
	ReferenceRefreshes int     `json:"reference_refreshes"`
	Reconnects         int     `json:"reconnects"`
	Seconds            float64 `json:"seconds"`
}

// A Report is the outcome of a run.
type Report struct {
	Counters
	// Done and Failed are the files, in the order in which that happened, but no
	// more of each than Options.MaxResults. Those that failed have their Err, and
	// were not done by a later download of the list.
	Done   []FileResult
	Failed []FileResult
	// Retryable is how many of all that failed may be helped by running again.
	Retryable int
}

// A FileResult is the outcome of one file.
type FileResult struct {
	ID           int64           // of the document or photo; of uploads that of the upload
	Origin       telegram.Origin // of downloads
	Path         string          // as in Download or Upload
	Size         int64
	SHA256       [32]byte // of the whole content
	ResumedBytes int64    // that were there before this run
	Skipped      bool     // it was complete before this run
	Reason       string   // of uploads that were skipped: why
	// Source identifies the content that an upload has sent.
	Source checkpoint.Source
	// Unconfirmed is why it is not proven that the server has the content of an
	// upload with Confirm; nil if it is.
	Unconfirmed error
	Date        time.Time
	// MessageID is the message that an upload became.
	MessageID int
	// Err is why the file failed; nil for one that is done.
	Err error
	// Retryable says that running again may help.
	Retryable bool

	captioned bool // the message of an upload has the caption of its album
}

// message is the message that has the file.
func (r FileResult) message() int {
	if r.MessageID != 0 {
		return r.MessageID
	}
	return r.Origin.MessageID
}
