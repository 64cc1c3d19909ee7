package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/tghaul/haul/checkpoint"
)

// commandLine checks a command line as a job's command does before it does anything.
func commandLine(t *testing.T, line string) error {
	t.Helper()
	return onCommandLine(t, line, func(k jobKind, c *cli.Context) error {
		return errors.Join(k.check(c), checkDir(c), checkMisfits(k.command, c, typed(c, k.flags())))
	})
}

// onCommandLine runs f as the action of a job's command.
func onCommandLine(t *testing.T, line string, f func(k jobKind, c *cli.Context) error) error {
	t.Helper()
	words := strings.Fields(line)
	for _, k := range jobKinds() {
		if k.command != words[0] {
			continue
		}
		app := cli.NewApp()
		app.Commands = []*cli.Command{{Name: k.command, Flags: k.flags(), Action: func(c *cli.Context) error { return f(k, c) }}}
		return app.Run(flagsFirst(app, append([]string{"haul"}, words...)))
	}
	t.Fatalf("no command %s", words[0])
	return nil
}

// TestMisfits: flags that contradict each other, or would do nothing beside
// others, are refused by their names, as wrong usage.
func TestMisfits(t *testing.T) {
	const id = "BQACAgQAAx0BAAIBohaLRBEABDO7q-SnQsyCZF0W9JKBd_UAAujoZnuKpC8qAAFGq9DboVb7PQQ"
	for line, want := range map[string]string{
		"archive @x --watch --limit 5":                "--limit",
		"archive @x --watch --to 5":                   "--to",
		"archive @x --watch --to yesterday":           "--to",
		"archive @x --watch --comments":               "--comments",
		"archive @x --watch --dry-run":                "--dry-run",
		"archive @x --dir=":                           "--dir",
		"archive @x --full --since-last":              "--since-last",
		"archive @x --comments --topic 5":             "topics",
		"archive @x --dry-run --report r":             "--report",
		"archive @x --dry-run --metrics :1":           "--metrics",
		"archive @x --dry-run --takeout":              "--takeout",
		"archive @x --watch --report r":               "",
		"archive @x --dry-run --full":                 "",
		"archive @x --limit -1":                       "limit",
		"dl @x --dry-run --report r":                  "--report",
		"dl @x --search":                              "--search",
		"dl @x --search --type voice":                 "--search",
		"dl @x --search --type photo":                 "",
		"dl @x --search --type Video --album":         "--search",
		"dl @x --search --type photo --comments":      "--search",
		"dl " + id + " --type photo":                  "--type",
		"dl " + id + " --template {{.Name}}":          "--template",
		"dl " + id + " --limit 1 --dry-run":           "",
		"dl " + id + " @x --type photo":               "",
		"dl -f x.json --reverse":                      "--reverse",
		"dl -f x.json @x --reverse":                   "",
		"dl @x --from 9 --to 3":                       "comes after",
		"dl @x --min-size 2M --max-size 1M":           "at least",
		"up f --to @x --parse-mode html":              "--parse-mode",
		"up f --to @x --parse-mode html --caption c":  "",
		"up f --to @x --as document --thumbs auto":    "--thumbs",
		"up f --to @x --as photo --thumbs none":       "",
		"up f --to @x --thumbs none":                  "",
		"up f --to @x --verify-server":                "--verify-server",
		"up f --to @x --delete-source --schedule +1d": "--schedule",
		"forward @x --to @y --from 5 --until 3":       "comes after",
		"forward @x --to @y --dry-run --silent":       "",
	} {
		err := commandLine(t, line)
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", line, err)
		case want == "":
		case !errors.As(err, new(*usageErr)) || !strings.Contains(err.Error(), want):
			t.Errorf("%s: %v, want a usage error about %s", line, err, want)
		}
	}
}

// TestMisfitsAreFlags: what is refused can be typed.
func TestMisfitsAreFlags(t *testing.T) {
	for _, k := range jobKinds() {
		for _, m := range misfits(k.command) {
			for name := range strings.FieldsSeq(m.flags) {
				if !slices.ContainsFunc(k.flags(), func(f cli.Flag) bool { return f.Names()[0] == name }) {
					t.Errorf("haul %s has no flag --%s", k.command, name)
				}
			}
		}
	}
}

// TestMisfitsOfVariables: defaults for many command lines are not refused.
func TestMisfitsOfVariables(t *testing.T) {
	t.Setenv("HAUL_REPORT", "r")
	t.Setenv("HAUL_PARSE_MODE", "html")
	for _, yes := range []string{"1", "t", "TRUE", "true", ""} {
		t.Setenv("HAUL_VERIFY_SERVER", yes)
		t.Setenv("HAUL_SEARCH", yes)
		t.Setenv("HAUL_TAKEOUT", yes)
		for _, line := range []string{"dl @x --dry-run", "dl @x", "archive @x --dry-run", "up f --to @x"} {
			if err := commandLine(t, line); err != nil {
				t.Errorf("%s, variables are %q: %v", line, yes, err)
			}
		}
	}
	t.Setenv("HAUL_SEARCH", "0")
	if err := commandLine(t, "dl @x --search"); !errors.As(err, new(*usageErr)) {
		t.Errorf("--search where the variable says no: %v, want a usage error", err)
	}
}

// TestTyped: what variables say is not typed, however they write it; what is typed
// and says something else is.
func TestTyped(t *testing.T) {
	for name, value := range map[string]string{
		"HAUL_TRANSFERS": "0x10", "HAUL_MAX_WAIT": "60s", "HAUL_TPSLIMIT": "2.50", "HAUL_NO_MTIME": "1", "HAUL_BWLIMIT": "2M",
	} {
		t.Setenv(name, value)
	}
	for line, want := range map[string]string{
		"dl @x": "map[]",
		"dl @x --transfers 3 --max-wait 2m --tpslimit 3 --no-mtime=false --bwlimit 1M": "map[bwlimit:1M max-wait:2m0s no-mtime:false tpslimit:3 transfers:3]",
		"dl @x --verify-server --connections 2":                                        "map[connections:2 verify-server:true]",
	} {
		err := onCommandLine(t, line, func(k jobKind, c *cli.Context) error {
			if got := fmt.Sprint(typed(c, k.how())); got != want {
				t.Errorf("%s: %s, want %s", line, got, want)
			}
			return nil
		})
		if err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// TestMisfitsOfOldJobs: an older version has begun jobs with flags that are refused
// now. The same command line goes on with them, as long as they are not done.
func TestMisfitsOfOldJobs(t *testing.T) {
	store, err := checkpoint.Open(filepath.Join(t.TempDir(), "checkpoint"), checkpoint.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close() //nolint:errcheck // nothing is kept
	a, f := &account{store: store}, absolute("f")
	var b checkpoint.Batch
	b.PutJob(checkpoint.Job{ID: "html", Command: "up", Args: []string{f}, Flags: map[string]string{"to": "@x", "parse-mode": "html"}, State: jobRunning})
	b.PutJob(checkpoint.Job{ID: "done", Command: "up", Args: []string{f}, Flags: map[string]string{"to": "@y", "parse-mode": "html"}, State: jobDone})
	b.PutJob(checkpoint.Job{ID: "find", Command: "dl", Args: []string{"@x"}, Flags: map[string]string{"dir": absolute("."), "search": "true"}, State: jobFailed})
	if err := store.Commit(&b); err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"up f --to @x --parse-mode html":                 "html",
		"up f --to @x --parse-mode html --verify-server": "html", // that one was tuning
		"up f --to @y --parse-mode html":                 "",
		"up f --to @x --parse-mode md":                   "",
		"up f --to @x --parse-mode html --thumbs none":   "",
		"dl @x --search":                                 "find",
		"dl @x --search --transfers 2":                   "find",
		"dl @x --search --album":                         "",
		"archive @x --dry-run --report r":                "",
	} {
		var j *job
		err := onCommandLine(t, line, func(k jobKind, c *cli.Context) (err error) {
			j, err = k.job(c, a, typed(c, k.flags()))
			return err
		})
		switch {
		case want == "" && !errors.As(err, new(*usageErr)):
			t.Errorf("%s: %v, want a usage error", line, err)
		case want != "" && (err != nil || !j.known || j.record.ID != want):
			t.Errorf("%s: %v, want job %s to go on", line, err, want)
		}
	}
}
