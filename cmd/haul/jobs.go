package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/transfer"
)

func jobsCommand() *cli.Command {
	return &cli.Command{
		Name: "jobs", Usage: "list unfinished work", OnUsageError: usageError,
		Description: "Each archive, dl, up and forward that has left something undone, with the reason. haul resume goes on with\n" +
			"them; haul jobs rm JOB gives one up. What was fetched stays.\n\nExample:\n   haul jobs\n   haul jobs rm k3f7",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "all", Usage: "also those of the last 30 days that are done", EnvVars: []string{"HAUL_JOBS_ALL"}}},
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return usagef("haul jobs %s: only rm is possible", c.Args().First())
			}
			return withStore(c, func(a *account) error { return listJobs(c, a) })
		},
		Subcommands: []*cli.Command{{
			Name: "rm", Usage: "give jobs up", ArgsUsage: "JOB...", OnUsageError: usageError,
			Description: "Example:\n   haul jobs rm k3f7",
			Action: func(c *cli.Context) error {
				if c.NArg() == 0 {
					return usagef("which job? haul jobs lists them")
				}
				return withStore(c, func(a *account) error { return removeJobs(c, a) })
			},
		}},
	}
}

// withStore runs f with the account of the flags, without connecting it.
func withStore(c *cli.Context, f func(a *account) error) error { return inStore(c, openStore, f) }

func inStore(c *cli.Context, open func(*cli.Context) (*account, error), f func(a *account) error) error {
	if err := applyCommandConfig(c); err != nil {
		return err
	}
	a, err := open(c)
	if err != nil {
		return err
	}
	defer a.close()
	return f(a)
}

// A listedJob is one line of jobs --json.
type listedJob struct {
	Job        string            `json:"job"`
	Command    string            `json:"command"`
	Args       []string          `json:"args"`
	Flags      map[string]string `json:"flags"`
	Tuning     map[string]string `json:"tuning"`
	State      string            `json:"state"`
	Reason     string            `json:"reason"`
	Created    time.Time         `json:"created"`
	LastRun    time.Time         `json:"last_run"`
	FilesDone  int               `json:"files_done"`
	FilesFail  int               `json:"files_failed"`
	FilesLeft  int               `json:"files_left"`
	ListDone   bool              `json:"list_done"`
	BytesDone  int64             `json:"bytes_done"`
	BytesKnown int64             `json:"bytes_known"`
	Until      time.Time         `json:"until,omitzero"`
}

func listJobs(c *cli.Context, a *account) error {
	jobs, err := recordedJobs(a, c.Bool("all"))
	if err != nil {
		return err
	}
	if c.Bool("json") {
		lines := json.NewEncoder(c.App.Writer)
		for _, r := range jobs {
			if r.Tuning == nil {
				r.Tuning = map[string]string{}
			}
			err := lines.Encode(listedJob{
				r.ID, r.Command, r.Args, r.Flags, r.Tuning, r.State, r.Reason, r.Created, r.LastRun,
				r.FilesDone, r.FilesFailed, r.FilesKnown - r.FilesDone - r.FilesFailed, r.ListDone, r.BytesDone, r.BytesKnown, r.Until,
			})
			if err != nil {
				return err
			}
		}
		return nil
	}
	if len(jobs) == 0 {
		say(c, "no unfinished jobs")
		return nil
	}
	table := tabwriter.NewWriter(c.App.Writer, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "JOB\tFILES\tSIZE\tLAST RUN\tSTATE\tCOMMAND")
	for _, r := range jobs {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s of %s\t%s\t%s\t%s\n", r.ID, jobFiles(r), size(r.BytesDone), size(r.BytesKnown),
			r.LastRun.Local().Format("2006-01-02 15:04"), jobReason(r, time.Now()), line(r))
	}
	return table.Flush()
}

func jobFiles(r checkpoint.Job) string {
	more := ""
	if !r.ListDone {
		more = " or more"
	}
	return fmt.Sprintf("%d of %d%s", r.FilesDone, r.FilesKnown, more)
}

// recordedJobs are the unfinished jobs, or all, the oldest first.
func recordedJobs(a *account, all bool) ([]checkpoint.Job, error) {
	jobs, err := a.store.Jobs()
	if err != nil {
		return nil, err
	}
	for i := range jobs {
		if jobs[i].State == jobRunning { // whoever ran it no longer has the store open
			jobs[i].State = jobKilled
		}
	}
	return slices.DeleteFunc(jobs, func(r checkpoint.Job) bool { return !all && r.State == jobDone }), nil
}

// findJob is the job that a person means: its id, or how that begins.
func findJob(jobs []checkpoint.Job, name string) (checkpoint.Job, error) {
	var found []checkpoint.Job
	for _, r := range jobs {
		if r.ID == name {
			return r, nil
		}
		if name != "" && strings.HasPrefix(r.ID, name) {
			found = append(found, r)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return checkpoint.Job{}, usagef("no job %q; haul jobs lists them", name)
	default:
		return checkpoint.Job{}, usagef("job %q: %d begin so; haul jobs lists them", name, len(found))
	}
}

func removeJobs(c *cli.Context, a *account) error {
	jobs, err := recordedJobs(a, true)
	if err != nil {
		return err
	}
	var b checkpoint.Batch
	for _, name := range c.Args().Slice() {
		r, err := findJob(jobs, name)
		if err != nil {
			return err
		}
		b.ForgetJob(r.ID)
	}
	return a.store.Commit(&b)
}

func resumeCommand() *cli.Command {
	return &cli.Command{
		Name: "resume", Usage: "go on with unfinished work", ArgsUsage: "[JOB...]", OnUsageError: usageError,
		Description: "Goes on with the jobs that haul jobs lists, one after the other, as their command lines would. Flags\n" +
			"given here come before theirs. An archive with --watch only catches up, and stays on the list, unless it is named: then\n" +
			"it goes on watching. The exit code is that of the job which ended worst.\n\nExample:\n" +
			"   haul --datacenters dc.json resume\n   haul --datacenters dc.json resume k3f7 --transfers 8",
		Flags: withoutEnv(fetchFlags()),
		Action: func(c *cli.Context) error {
			now := typed(c, c.Command.Flags)
			return withStore(c, func(a *account) error { return resume(c, a, now) })
		},
	}
}

// withoutEnv takes the variables away from flags.
func withoutEnv(flags []cli.Flag) []cli.Flag {
	for _, f := range flags {
		switch f := f.(type) {
		case *cli.StringFlag:
			f.EnvVars = nil
		case *cli.IntFlag:
			f.EnvVars = nil
		case *cli.BoolFlag:
			f.EnvVars = nil
		case *cli.Float64Flag:
			f.EnvVars = nil
		case *cli.DurationFlag:
			f.EnvVars = nil
		default:
			panic(fmt.Sprintf("haul: flag of type %T", f))
		}
	}
	return flags
}

// A jobStarted comes before the events of each run of haul resume.
type jobStarted struct {
	transfer.Header
	Job     string   `json:"job"`
	Command string   `json:"command"`
	Args    []string `json:"args"`
}

// resume goes on with the jobs that are named, or all.
func resume(c *cli.Context, a *account, now map[string]string) (err error) {
	reports := make(sharedReports)
	c.App.Metadata[reportsKey] = reports
	defer func() { err = errors.Join(err, reports.complete()) }()
	jobs, err := recordedJobs(a, false)
	if err != nil {
		return err
	}
	if c.NArg() > 0 {
		var named []checkpoint.Job
		for _, name := range c.Args().Slice() {
			r, err := findJob(jobs, name)
			if err != nil {
				return err
			}
			named = append(named, r)
		}
		jobs = named
	}
	if len(jobs) == 0 && !c.Bool("json") {
		say(c, "nothing to resume")
	}
	var failed []error
	for _, r := range jobs {
		var err error
		if c.Bool("json") {
			head := transfer.Header{Event: "job_started", Time: time.Now()}
			err = json.NewEncoder(c.App.Writer).Encode(jobStarted{head, r.ID, r.Command, r.Args})
		} else {
			say(c, "job %s: %s", r.ID, line(r))
		}
		if err == nil {
			err = resumeJob(c, a, r, now, c.NArg() > 0, reports)
		}
		if err == nil {
			continue
		}
		code, _ := explain(err)
		if len(jobs) == 1 || code == exitLogin || c.Err() != nil {
			return err // the others would end in the same way
		}
		_, _ = fmt.Fprintf(c.App.ErrWriter, "haul: job %s: %s\n", r.ID, text(err))
		failed = append(failed, err)
	}
	if len(failed) == 0 {
		return nil
	}
	return &jobsFailed{failed: failed, total: len(jobs)}
}

// resumeJob goes on with a job. A watch would never let the next one begin: unless
// it was named, it only catches up.
func resumeJob(c *cli.Context, a *account, r checkpoint.Job, now map[string]string, named bool, reports sharedReports) error {
	i := slices.IndexFunc(jobKinds(), func(k jobKind) bool { return k.command == r.Command })
	if i < 0 {
		return fmt.Errorf("job %s: this version of haul has no command %q", r.ID, r.Command)
	}
	k := jobKinds()[i]
	jc, err := k.context(c, r, now)
	if err != nil {
		return err
	}
	j := newJob(a, r)
	j.again, j.pass = true, jc.Bool("watch") && !named
	if j.pass {
		if err := jc.Set("watch", "false"); err != nil {
			return err
		}
		if !c.Bool("json") {
			say(c, "job %s catches up; haul resume %s goes on watching", r.ID, r.ID)
		}
	}
	cfg, err := clientConfig(jc)
	if err == nil {
		err = a.connect(c.Context, cfg)
	}
	if err != nil {
		return errors.Join(err, reports.job(jc, j, err))
	}
	defer a.hangUp()
	err = k.run(c.Context, jc, a, j)
	return errors.Join(j.end(err), reports.job(jc, j, err))
}

// jobsFailed ends haul resume when it has left several jobs undone.
type jobsFailed struct {
	failed []error
	total  int
}

func (e *jobsFailed) Error() string {
	return fmt.Sprintf("%d of %d jobs are not done", len(e.failed), e.total)
}

// code is that of the job which ended worst.
func (e *jobsFailed) code() int {
	worst := exitDone
	for _, err := range e.failed {
		code, _ := explain(err)
		if slices.Index(badness, code) > slices.Index(badness, worst) {
			worst = code
		}
	}
	return worst
}

// badness are the exit codes of jobs, from good to bad: of what helps by
// itself, to what needs somebody.
var badness = []int{exitDone, exitLongWait, exitLocked, exitSomeFailed, exitFailed, exitUsage, exitLogin}
