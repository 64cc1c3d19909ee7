package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/transfer"
)

// TestJobState: what the list of jobs and the exit code say of a run, by its
// error; that of the whole run counts, also if sources were kept.
func TestJobState(t *testing.T) {
	t.Parallel()
	now := time.Now()
	wait := &transfer.WaitError{DC: 2, Method: "upload.saveFilePart", Wait: time.Hour}
	flood := fmt.Errorf("@x: %w", &mtproto.RPCError{Method: "contacts.resolveUsername", Code: 420, Type: "FLOOD_WAIT", Arg: 60})
	some := &someFailed{failed: 1, total: 2}
	for name, c := range map[string]struct {
		err   error
		kept  int
		state string
		code  int
		wait  time.Duration
	}{
		"done":                       {nil, 0, jobDone, exitDone, 0},
		"sources were kept":          {nil, 2, jobFailed, exitSomeFailed, 0},
		"some failed":                {some, 0, jobFailed, exitSomeFailed, 0},
		"and sources were kept":      {some, 2, jobFailed, exitSomeFailed, 0},
		"a long wait":                {wait, 0, jobWaiting, exitLongWait, time.Hour},
		"a wait, sources were kept":  {wait, 2, jobWaiting, exitLongWait, time.Hour},
		"a wait before parts":        {flood, 0, jobWaiting, exitLongWait, time.Minute},
		"stopped":                    {errors.New("no"), 0, jobStopped, exitFailed, 0},
		"stopped, sources were kept": {errors.New("no"), 2, jobStopped, exitFailed, 0},
		"interrupted":                {context.Canceled, 2, jobInterrupted, exitFailed, 0}, // the signal makes it 130
	} {
		err := (&sending{kept: c.kept}).outcome(c.err)
		state, _, until := jobState(err, now)
		code, _ := explain(err)
		if state != c.state || code != c.code {
			t.Errorf("%s: %s, exit code %d; want %s, %d", name, state, code, c.state, c.code)
		}
		if late := until.Sub(now.Add(c.wait)); until.IsZero() != (c.wait == 0) || c.wait != 0 && late.Abs() > time.Second {
			t.Errorf("%s: until %v, want %v", name, until, now.Add(c.wait))
		}
	}
}

func TestJobReason(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 15, 0, 0, 0, time.Local)
	waiting := checkpoint.Job{State: jobWaiting, Reason: "transfer: Telegram asked to wait", Until: now.Add(5 * time.Minute)}
	old := waiting
	old.Until = time.Time{} // of an older haul
	for _, c := range []struct {
		job  checkpoint.Job
		now  time.Time
		want string
	}{
		{waiting, now, "waits for Telegram until 2026-01-02 15:05"},
		{waiting, now.Add(time.Hour), "has waited for Telegram long enough: haul resume"},
		{old, now, "transfer: Telegram asked to wait"},
		{checkpoint.Job{State: jobKilled}, now, "killed"},
		{checkpoint.Job{State: jobFailed, Reason: "1 of 2\nfiles failed"}, now, "1 of 2 files failed"},
	} {
		if got := jobReason(c.job, c.now); got != c.want {
			t.Errorf("%+v: %q, want %q", c.job, got, c.want)
		}
	}
}

// TestJobBegins: a job that runs again waits for nothing any more, whatever its
// last run has left in its record.
func TestJobBegins(t *testing.T) {
	store, err := checkpoint.Open(filepath.Join(t.TempDir(), "checkpoint"), checkpoint.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close() //nolint:errcheck // nothing is kept
	r := checkpoint.Job{ID: "x", Command: "dl", State: jobWaiting, Reason: "asked to wait", Until: time.Now().Add(time.Hour)}
	j := newJob(&account{store: store}, r)
	if err := j.begin(); err != nil {
		t.Fatal(err)
	}
	jobs, err := store.Jobs()
	if err != nil || len(jobs) != 1 || jobs[0].State != jobRunning || jobs[0].Reason != "" || !jobs[0].Until.IsZero() {
		t.Errorf("%+v, %v; want one that runs, without a reason or a time to wait for", jobs, err)
	}
	if err := j.end(context.Canceled); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
