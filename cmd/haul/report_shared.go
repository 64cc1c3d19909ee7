package main

import (
	"errors"
	"maps"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/tghaul/haul/transfer"
)

// sharedReports are the reports of the jobs of haul resume, by absolute path:
// those that go to one file, however it is written, go there one after the other,
// and it appears when all have run.
type sharedReports map[string]*reportFile

// reportsKey is where an app has its sharedReports.
const reportsKey = "reports"

// openReport opens the report of a run: its own, or the one that it shares.
func openReport(c *cli.Context, path string) (*reportFile, error) {
	shared, _ := c.App.Metadata[reportsKey].(sharedReports)
	key := absolute(path)
	if r := shared[key]; r != nil {
		return r, nil
	}
	r, err := newReportFile(path)
	if err == nil && shared != nil {
		r.ended = make(map[string]bool)
		shared[key] = r
	}
	return r, err
}

// job takes in how a job has ended, if it has not said so itself.
func (s sharedReports) job(c *cli.Context, j *job, err error) error {
	path := c.String("report")
	if path == "" || err == nil {
		return nil
	}
	r, cannot := openReport(c, path)
	if cannot != nil || r.ended[j.record.ID] {
		return cannot
	}
	return r.finish(j, new(transfer.Report), err)
}

// complete completes all.
func (s sharedReports) complete() (err error) {
	for _, path := range slices.Sorted(maps.Keys(s)) {
		err = errors.Join(err, s[path].complete())
	}
	return err
}
