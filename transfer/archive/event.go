package archive

import "github.com/tghaul/haul/transfer"

// Verifying is the direction of RunStarted when files are verified.
const Verifying transfer.Direction = "verify"

// FileWrong says that a file is not what the manifest says.
type FileWrong struct {
	transfer.Header
	ID      int64   `json:"id,string"`
	Path    string  `json:"path"` // relative to the folder that is verified
	Message int     `json:"message"`
	Problem Problem `json:"problem"`
	Error   string  `json:"error,omitempty"` // of reading it
}

// FileExtra says that a file is in no manifest. That is no fault.
type FileExtra struct {
	transfer.Header
	Path       string `json:"path"`
	Unfinished bool   `json:"unfinished"` // of a download that was cut short
}

// LineBad says that a line of a manifest cannot be read, so that nothing is
// known of its file.
type LineBad struct {
	transfer.Header
	Path  string `json:"path"` // of the manifest
	Line  int    `json:"line"` // from 1
	Error string `json:"error"`
}

// VerifyDone sums up what was found.
type VerifyDone struct {
	transfer.Header
	VerifyCounters
}

// VerifyCounters are the fields of verify_done.
type VerifyCounters struct {
	Archives   int     `json:"archives"`
	FilesRight int     `json:"files_right"`
	FilesWrong int     `json:"files_wrong"`
	FilesExtra int     `json:"files_extra"` // in no manifest
	LinesBad   int     `json:"lines_bad"`
	Bytes      int64   `json:"bytes"` // read
	Seconds    float64 `json:"seconds"`
}
