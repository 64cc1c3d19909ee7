package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/transfer"
)

// A job is one run of archive, dl or up. It is recorded before the first byte
// moves, and stays on the list of unfinished ones until everything is done. The
// same command line is the same job, however often it is run, and whatever its
// tuning: flags say either what is moved or how.

// A jobKind is a command whose runs are jobs.
type jobKind struct {
	command string
	what    func() []cli.Flag            // flags that say what is moved; without one they are zero, except dir
	how     func() []cli.Flag            // flags that say how
	check   func(c *cli.Context) error   // of the command line
	normal  func(argument string) string // the one form of an argument that means the same everywhere
	run     func(ctx context.Context, c *cli.Context, a *account, j *job) error
}

func jobKinds() []jobKind { return []jobKind{archiveJob(), dlJob(), upJob(), forwardJob()} }

// flags are those of the command.
func (k jobKind) flags() []cli.Flag { return append(k.what(), k.how()...) }

// tuningFlags are those that say how a job is done, fetchFlags those of jobs that fetch.
func tuningFlags() []cli.Flag { return append(transferFlags(), reportFlag()) }

func fetchFlags() []cli.Flag {
	return append(tuningFlags(), boolFlag("no-mtime", "leave files the time at which they were fetched; else they have the date of their message"),
		boolFlag("takeout", "read within a takeout session, which has lower flood limits (users only)"))
}

// action is what the command does.
func (k jobKind) action(c *cli.Context) error {
	given := typed(c, k.flags())
	if err := applyCommandConfig(c); err != nil {
		return err
	}
	if err := k.check(c); err != nil {
		return err
	}
	if err := checkDir(c); err != nil {
		return err
	}
	cfg, err := clientConfig(c)
	if err != nil {
		return err
	}
	return withStore(c, func(a *account) error {
		j, err := k.job(c, a, given)
		if err != nil {
			return err
		}
		if err := a.connect(c.Context, cfg); err != nil {
			return err
		}
		return j.end(k.run(c.Context, c, a, j))
	})
}

// typed are those of the flags that stand on the command line, with their
// values. Variables will be there the next time too.
func typed(c *cli.Context, flags []cli.Flag) map[string]string {
	values := make(map[string]string)
	for _, f := range flags {
		name := f.Names()[0]
		if !c.IsSet(name) {
			continue
		}
		if value := fmt.Sprint(c.Value(name)); value != variable(f) {
			values[name] = value
		}
	}
	return values
}

// variable is the value that a flag has by its variables, written as flags' values
// are: 1 is true. It is "" if they are not set, or make no sense.
func variable(f cli.Flag) string {
	env, ok := f.(cli.DocGenerationFlag)
	if !ok || !slices.ContainsFunc(env.GetEnvVars(), func(v string) bool { _, set := os.LookupEnv(v); return set }) {
		return ""
	}
	set := flag.NewFlagSet("", flag.ContinueOnError)
	if err := f.Apply(set); err != nil {
		return ""
	}
	return fmt.Sprint(cli.NewContext(nil, set, nil).Value(f.Names()[0]))
}

// states of jobs. A job that the store says is running, and that is not ours,
// was killed: only one process has a store open.
const (
	jobRunning     = "running"
	jobKilled      = "killed"
	jobInterrupted = "interrupted"
	jobFailed      = "failed" // some files are not done
	jobWaiting     = "long wait"
	jobStopped     = "stopped" // by an error of the whole run
	jobDone        = "done"
)

const (
	// jobSavePause is how old the counts of a job may be that is killed.
	jobSavePause = 5 * time.Second
	// jobMemory is how long jobs that are done are remembered.
	jobMemory = 30 * 24 * time.Hour
)

// A job is a run of a command, with its record.
type job struct {
	store *checkpoint.Store
	args  []string // as they were typed, each once
	known bool     // and unfinished when the run began
	again bool     // haul resume goes on with it
	pass  bool     // of a watch only the first pass is made: the watch stays unfinished
	begun bool

	mu     sync.Mutex // guards what follows
	record checkpoint.Job
	saved  time.Time

	save  chan struct{} // capacity 1: the record is to be saved
	saver sync.WaitGroup
}

// job is the job of a command line, of which given are the flags that were typed:
// the recorded one if there is one. An unfinished one goes on as it was begun, also
// with flags that are refused now: without them it would be another job, which
// knows nothing of what was done.
func (k jobKind) job(c *cli.Context, a *account, given map[string]string) (*job, error) {
	j := newJob(a, checkpoint.Job{})
	want := checkpoint.Job{Command: k.command, Tuning: make(map[string]string), Flags: make(map[string]string)}
	for _, arg := range c.Args().Slice() {
		if n := k.normal(arg); !slices.Contains(want.Args, n) {
			want.Args = append(want.Args, n)
			j.args = append(j.args, arg)
		}
	}
	for _, f := range k.what() {
		name := f.Names()[0]
		if value := fmt.Sprint(c.Value(name)); value != zero(f) {
			want.Flags[name] = normalFlag(k.command, name, value)
		}
	}
	for _, f := range k.how() {
		if value, ok := given[f.Names()[0]]; ok {
			want.Tuning[f.Names()[0]] = value
		}
	}
	jobs, err := a.store.Jobs()
	if err != nil {
		return nil, err
	}
	j.record = want
	if i := slices.IndexFunc(jobs, func(o checkpoint.Job) bool { return sameJob(o, want) }); i >= 0 && jobs[i].State != jobDone {
		j.known = true
		j.record = jobs[i]
		j.record.Tuning = want.Tuning
		return j, nil
	} else if i >= 0 {
		j.record.ID = jobs[i].ID
	} else {
		j.record.ID = newJobID(want, jobs)
	}
	return j, checkMisfits(k.command, c, given)
}

// newJob is a run of a recorded job.
func newJob(a *account, r checkpoint.Job) *job {
	return &job{store: a.store, args: r.Args, known: r.ID != "", record: r, save: make(chan struct{}, 1)}
}

// since is what times ago in the job's flags are counted back from: now, or, if
// it is gone on with, when it began.
func (j *job) since() time.Time {
	if j.again {
		return j.record.Created.Local()
	}
	return time.Now()
}

// sameJob says whether both move the same.
func sameJob(a, b checkpoint.Job) bool {
	return a.Command == b.Command && slices.Equal(a.Args, b.Args) && maps.Equal(a.Flags, b.Flags)
}

// newJobID is made of what the job moves, as short as it can be.
func newJobID(j checkpoint.Job, others []checkpoint.Job) string {
	const letters = "abcdefghjkmnpqrstuvwxyz23456789"          // none that looks like another
	what, _ := json.Marshal([]any{j.Command, j.Args, j.Flags}) // strings: cannot fail
	sum := sha256.Sum256(what)
	id := ""
	for i, b := range sum {
		id += string(letters[int(b)%len(letters)])
		if i >= 3 && !slices.ContainsFunc(others, func(o checkpoint.Job) bool { return o.ID == id }) {
			break
		}
	}
	return id
}

// zero is what a flag that says nothing looks like.
func zero(f cli.Flag) string {
	switch f.(type) {
	case *cli.BoolFlag:
		return "false"
	case *cli.IntFlag:
		return "0"
	default:
		return ""
	}
}

// normalFlag is the one form of a flag's value that means the same everywhere.
func normalFlag(command, name, value string) string {
	switch {
	case name == "dir", name == "file":
		return absolute(value)
	case (command == "up" || command == "forward") && name == "to", command == "up" && name == "send-as":
		return normalChat(value)
	default:
		return value
	}
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// normalChat is a chat as all ways to write it come out. What is none stays,
// and is refused later.
func normalChat(chat string) string {
	l, err := telegram.ParseChat(chat)
	if err != nil {
		return chat
	}
	if l.Username != "" {
		return "@" + strings.ToLower(l.Username)
	}
	l.Message, l.Thread, l.Comment, l.Single = 0, 0, 0, false
	return l.String()
}

// normalTarget is a chat, or a link to messages, likewise.
func normalTarget(target string) string {
	if telegram.IsFileID(target) {
		return target
	}
	l, err := telegram.ParseChat(target)
	if err != nil || l.Message == 0 {
		return normalChat(target)
	}
	l.Username = strings.ToLower(l.Username)
	return l.String()
}

// begin records the job. Nothing is moved before it.
func (j *job) begin() error {
	jobs, err := j.store.Jobs()
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	var b checkpoint.Batch
	for _, o := range jobs {
		if o.State == jobDone && o.ID != j.record.ID && now.Sub(o.LastRun) > jobMemory {
			b.ForgetJob(o.ID)
		}
	}
	if !j.known {
		j.record.Created = now
		b.ForgetSent(j.record.ID)
	}
	j.record.State, j.record.Reason, j.record.Until, j.record.LastRun = jobRunning, "", time.Time{}, now
	b.PutJob(j.record)
	if err := j.store.Commit(&b); err != nil {
		return err
	}
	j.begun, j.saved = true, now
	j.saver.Go(func() {
		for range j.save {
			_ = j.put() // the next one may succeed, and the last one tells
		}
	})
	return nil
}

func (j *job) put() error {
	j.mu.Lock()
	var b checkpoint.Batch
	b.PutJob(j.record)
	j.mu.Unlock()
	return j.store.Commit(&b)
}

// watch takes the job's counts out of the events on their way to a display.
func (j *job) watch(show display) func(transfer.Event) {
	return func(e transfer.Event) {
		show.event(e)
		j.mu.Lock()
		defer j.mu.Unlock()
		r := &j.record
		switch e := e.(type) {
		case transfer.Progress:
			r.FilesDone, r.FilesFailed = e.FilesDone+e.FilesSkipped, e.FilesFailed
			r.FilesKnown, r.ListDone, r.BytesDone, r.BytesKnown = e.FilesKnown, e.ListComplete, e.BytesDone, e.BytesKnown
		case transfer.RunDone:
			r.FilesDone, r.FilesFailed = e.FilesDone+e.FilesSkipped, e.FilesFailed
			r.FilesKnown = max(r.FilesKnown, r.FilesDone+r.FilesFailed)
			return // the end saves
		default:
			return
		}
		if now := time.Now(); now.Sub(j.saved) >= jobSavePause {
			j.saved = now
			select {
			case j.save <- struct{}{}:
			default: // the last one is still being saved
			}
		}
	}
}

// end records how the run has ended, and returns its error.
func (j *job) end(err error) error {
	if !j.begun && !j.known {
		return err // nothing was moved, and there is nothing to go on with
	}
	if j.begun {
		close(j.save)
		j.saver.Wait()
	}
	j.record.State, j.record.Reason, j.record.Until = jobState(err, time.Now())
	if j.pass && err == nil {
		j.record.State = jobInterrupted // as the watch was
	}
	var b checkpoint.Batch
	if err == nil {
		j.record.ListDone, j.record.BytesDone = true, j.record.BytesKnown
		b.ForgetSent(j.record.ID)
	}
	b.PutJob(j.record)
	return errors.Join(err, j.store.Commit(&b))
}

// context is the command line of a recorded job: what it moves, its tuning, and
// before that the tuning that is given now.
func (k jobKind) context(parent *cli.Context, r checkpoint.Job, now map[string]string) (*cli.Context, error) {
	set := flag.NewFlagSet(k.command, flag.ContinueOnError)
	set.SetOutput(io.Discard)
	c := cli.NewContext(parent.App, set, parent)
	c.Command = &cli.Command{Name: k.command, Flags: k.flags()}
	for _, f := range c.Command.Flags {
		if err := f.Apply(set); err != nil { // its variable makes no sense
			return nil, usageError(c, err, true)
		}
	}
	if err := set.Parse(append([]string{"--"}, r.Args...)); err != nil {
		return nil, err
	}
	values := maps.Clone(r.Tuning)
	if values == nil {
		values = make(map[string]string)
	}
	known := k.how()
	for name, value := range now { // the other flags of haul resume are for other commands
		if slices.ContainsFunc(known, func(f cli.Flag) bool { return f.Names()[0] == name }) {
			values[name] = value
		}
	}
	for _, f := range k.what() { // also those that were not set: no variable may change the job
		name, value := f.Names()[0], zero(f)
		if v, ok := r.Flags[name]; ok {
			value = v
		}
		values[name] = value
	}
	for name, value := range values {
		if err := c.Set(name, value); err != nil {
			return nil, fmt.Errorf("job %s: --%s %q: %w", r.ID, name, value, err)
		}
	}
	return c, applyCommandConfig(c)
}

// line is the command line of a job, for people.
func line(r checkpoint.Job) string {
	words := append([]string{r.Command}, r.Args...)
	for _, flags := range []map[string]string{r.Flags, r.Tuning} {
		for _, name := range slices.Sorted(maps.Keys(flags)) {
			words = append(words, "--"+name)
			if flags[name] != "true" {
				words = append(words, flags[name])
			}
		}
	}
	for i, w := range words {
		if w == "" || strings.ContainsAny(w, " \t\n'\"\\$*?&;|<>()") {
			words[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(words, " ")
}
