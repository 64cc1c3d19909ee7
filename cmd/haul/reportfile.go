package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/tghaul/haul/transfer"
)

// reportFlag asks for a report of the run.
func reportFlag() cli.Flag {
	return stringFlag("report", "", "write what became of each file to this `FILE`, as JSON, one a line")
}

// A reportFile takes in what became of each file of a run. It appears under
// its name when it is complete. A nil one does nothing.
type reportFile struct {
	path string
	f    *os.File
	w    *bufio.Writer
	once sync.Once
	err  error // of the first line that could not be written
	// ended are the jobs whose last line is written, by id, if several share the
	// file; nil: it is of one run.
	ended map[string]bool
}

func newReportFile(path string) (*reportFile, error) {
	f, err := createReport(path)
	if err != nil {
		return nil, fmt.Errorf("--report %s: %w", path, err)
	}
	return &reportFile{path: path, f: f, w: bufio.NewWriter(f)}, nil
}

// event writes file_done, file_skipped and file_failed, as --json prints them.
func (r *reportFile) event(e transfer.Event) {
	if r == nil {
		return
	}
	switch e.(type) {
	case transfer.FileDone, transfer.FileSkipped, transfer.FileFailed:
		r.write(e)
	}
}

func (r *reportFile) write(v any) {
	if r.err == nil {
		r.err = json.NewEncoder(r.w).Encode(v)
	}
}

// A jobEnded is the last line: how the run has ended.
type jobEnded struct {
	transfer.RunDone
	Job     string `json:"job"`
	Command string `json:"command"`
	State   string `json:"state"` // as haul jobs says it
	Error   string `json:"error,omitempty"`
}

// finish writes how a run has ended, and completes the report if no other run
// shares it.
func (r *reportFile) finish(j *job, report *transfer.Report, err error) error {
	if r == nil {
		return nil
	}
	head := transfer.Header{Event: "run_done", Time: time.Now()}
	end := jobEnded{RunDone: transfer.RunDone{Header: head, Counters: report.Counters}, Job: j.record.ID, Command: j.record.Command}
	end.State, end.Error, _ = jobState(err, end.Time)
	r.write(end)
	if r.ended != nil {
		r.ended[j.record.ID] = true
		return nil
	}
	return r.complete()
}

// complete gives the report its name.
func (r *reportFile) complete() error {
	r.once.Do(func() {
		r.err = errors.Join(r.err, r.w.Flush(), r.f.Chmod(0o644), r.f.Close())
		if r.err == nil {
			r.err = os.Rename(r.f.Name(), r.path)
		}
		if r.err != nil {
			_ = os.Remove(r.f.Name())
		}
	})
	if r.err != nil {
		return fmt.Errorf("write the report %s: %w", r.path, r.err)
	}
	return nil
}

// discard leaves nothing behind of a report that was not finished, unless others
// share it.
func (r *reportFile) discard() {
	if r == nil || r.ended != nil {
		return
	}
	r.once.Do(func() {
		_ = r.f.Close()
		_ = os.Remove(r.f.Name())
	})
}
