package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/tghaul/haul/checkpoint"
)

// A job's flags that are not recorded must mean nothing: resume sets them to zero.
func TestFlagsOfJobsAreZero(t *testing.T) {
	for _, k := range jobKinds() {
		set := cli.NewApp()
		set.Flags = k.what()
		set.Action = func(c *cli.Context) error {
			for _, f := range k.what() {
				name := f.Names()[0]
				if got := fmt.Sprint(c.Value(name)); got != zero(f) && name != "dir" {
					t.Errorf("%s --%s is %q if it is not given, want %q", k.command, name, got, zero(f))
				}
			}
			return nil
		}
		if err := set.Run([]string{k.command}); err != nil {
			t.Error(err)
		}
	}
}

// No global flag, such as a secret, is ever part of a job's record.
func TestFlagsOfJobsAreLocal(t *testing.T) {
	var global []string
	for _, f := range globalFlags() {
		global = append(global, f.Names()...)
	}
	for _, k := range jobKinds() {
		for _, f := range k.flags() {
			if slices.ContainsFunc(f.Names(), func(n string) bool { return slices.Contains(global, n) }) {
				t.Errorf("%s records --%s", k.command, f.Names()[0])
			}
		}
	}
	withoutEnv(fetchFlags()) // knows all their types
}

func TestJobID(t *testing.T) {
	a := checkpoint.Job{Command: "up", Args: []string{"/a", "/b"}, Flags: map[string]string{"to": "@x"}}
	id := newJobID(a, nil)
	if len(id) != 4 || strings.Trim(id, "abcdefghjkmnpqrstuvwxyz23456789") != "" {
		t.Errorf("id %q, want 4 letters and digits", id)
	}
	if again := newJobID(a, nil); again != id {
		t.Errorf("ids %q and %q of one job", id, again)
	}
	seen := map[string]string{id: "a"}
	for i, other := range []checkpoint.Job{
		{Command: "dl", Args: a.Args, Flags: a.Flags},
		{Command: "up", Args: []string{"/a/b"}, Flags: a.Flags},
		{Command: "up", Args: []string{"/b", "/a"}, Flags: a.Flags},
		{Command: "up", Args: a.Args, Flags: map[string]string{"to": "@y"}},
	} {
		if id := newJobID(other, nil); seen[id] != "" || sameJob(a, other) {
			t.Errorf("job %d is taken for another", i)
		}
	}
	if longer := newJobID(a, []checkpoint.Job{{ID: id}}); len(longer) != 5 || !strings.HasPrefix(longer, id) {
		t.Errorf("id %q where %q is taken, want one letter more", longer, id)
	}
}

func TestNormalArguments(t *testing.T) {
	for in, want := range map[string]string{
		"@Name": "@name", "name": "@name", "https://t.me/Name": "@name", "t.me/name/5": "@name", "me": "me",
		"-1001234567890": "https://t.me/c/1234567890", "https://t.me/c/1234567890/7": "https://t.me/c/1234567890", "no chat!": "no chat!",
	} {
		if got := normalChat(in); got != want || normalChat(got) != want {
			t.Errorf("normalChat(%q) = %q, then %q; want %q", in, got, normalChat(got), want)
		}
	}
	for in, want := range map[string]string{
		"t.me/Name/5?single": "https://t.me/name/5?single", "https://t.me/name/5": "https://t.me/name/5", "no link": "no link",
		"@Name": "@name", "me": "me", "-1001234567890": "https://t.me/c/1234567890", "t.me/name/5?comment=9": "https://t.me/name/5?comment=9",
	} {
		if got := normalTarget(in); got != want || normalTarget(got) != want {
			t.Errorf("normalTarget(%q) = %q, want %q", in, got, want)
		}
	}
}

// What comes first when a job is resumed: flags given now, its own, variables.
// What it moves is what it was.
func TestResumedFlags(t *testing.T) {
	t.Setenv("HAUL_TRANSFERS", "7")
	t.Setenv("HAUL_CONNECTIONS", "7")
	t.Setenv("HAUL_BWLIMIT", "7M")
	t.Setenv("HAUL_LIMIT", "7")
	t.Setenv("HAUL_DIR", "/elsewhere")
	app := newApp()
	parent := cli.NewContext(app, nil, &cli.Context{Context: context.Background()})
	app.Metadata = map[string]any{"config": map[string]any{"connections": int64(3), "tpslimit": 2.5, "reverse": true, "limit": int64(3)}}
	r := checkpoint.Job{
		Command: "archive", Args: []string{"@x", "-y"}, Flags: map[string]string{"dir": "/out", "type": "photo"},
		Tuning: map[string]string{"transfers": "2", "bwlimit": "2M", "max-wait": "1h0m0s", "verify-server": "true"},
	}
	c, err := archiveJob().context(parent, r, map[string]string{"bwlimit": "1M"})
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(c.Args().Slice(), c.String("dir"), c.String("type"), c.Int("limit"), c.Bool("reverse"),
		c.Int("transfers"), c.Int("connections"), c.String("bwlimit"), c.Float64("tpslimit"), c.Duration("max-wait"), c.Bool("verify-server"))
	if want := "[@x -y]/outphoto0 false2 71M2.5 1h0m0strue"; strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(want, " ", "") {
		t.Errorf("flags are %s, want %s", got, want)
	}
	r.Tuning["transfers"] = "many"
	if _, err := archiveJob().context(parent, r, nil); err == nil {
		t.Error("a record that makes no sense was taken")
	}
}

// TestResumedVariables: a variable that makes no sense is refused in the words that
// the command itself has for it.
func TestResumedVariables(t *testing.T) {
	for name, want := range map[string]string{
		"HAUL_TRANSFERS": `the variable HAUL_TRANSFERS is "many": want a whole number`,
		"HAUL_MAX_WAIT":  `the variable HAUL_MAX_WAIT is "many": want a time such as`,
		"HAUL_NO_MTIME":  `the variable HAUL_NO_MTIME is "many": want true or false`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, "many")
			parent := cli.NewContext(newApp(), nil, &cli.Context{Context: context.Background()})
			_, err := dlJob().context(parent, checkpoint.Job{ID: "x", Command: "dl", Args: []string{"@x"}}, nil)
			if !errors.As(err, new(*usageErr)) || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%v, want a usage error: %s", err, want)
			}
		})
	}
}

// Times ago count back from when a job began, if it is gone on with, and else
// from now.
func TestTimesAgo(t *testing.T) {
	began := time.Now().AddDate(0, 0, -30)
	j := &job{record: checkpoint.Job{Created: began}}
	if d := time.Since(j.since()); d < 0 || d > time.Minute {
		t.Errorf("a command line counts back from %v ago", d)
	}
	j.again = true
	if got := j.since(); !got.Equal(began) {
		t.Errorf("a job that is gone on with counts back from %v, want %v", got, began)
	}
}
