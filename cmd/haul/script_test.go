package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tghaul/haul/telegram/dctest"
)

// TestMain lets scripts run haul as a program of its own.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"haul": main})
}

// TestScripts runs each testdata/script/*.txtar against a cluster of its own,
// whose datacenters file is $HAUL_DATACENTERS. A script may bring a
// scenario.json for it.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(env *testscript.Env) error {
			scenario, err := scenarioOf(env.WorkDir)
			if err != nil {
				return err
			}
			cluster, err := dctest.Start(context.Background(), scenario)
			if err != nil {
				return err
			}
			env.Defer(func() { _ = cluster.Close() })
			file := filepath.Join(env.WorkDir, "dc.json")
			env.Setenv("HAUL_DATACENTERS", file)
			env.Setenv("HAUL_STORE", filepath.Join(env.WorkDir, "store"))
			env.Setenv("HOME", env.WorkDir)
			return cluster.Datacenters().WriteFile(file)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"exits": exits, "lines": lines},
	})
}

// scriptScenario is a small channel with everything that a test wants to see.
func scriptScenario() dctest.Config {
	return dctest.Config{Channels: []dctest.ChannelConfig{{
		Username: dctest.BigChannel, Title: "The big channel", Specials: true,
		Files: []dctest.FileSpec{
			{Kind: "photo", Count: 6, MinSize: 30 << 10, MaxSize: 90 << 10, DC: 4},
			{Kind: "document", Count: 5, MinSize: 1 << 10, MaxSize: 3 << 20},
		},
	}}}
}

// scenarioOf is the scenario that the script has brought, or the usual one.
func scenarioOf(dir string) (dctest.Config, error) {
	f, err := os.Open(filepath.Join(dir, "scenario.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return scriptScenario(), nil
	}
	if err != nil {
		return dctest.Config{}, err
	}
	defer f.Close() //nolint:errcheck // only read
	return dctest.LoadScenario(f)
}

// exits runs haul and wants an exit code: exits 4 haul ls @bigchannel.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS...")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := "0"
	if err != nil {
		code = err.Error()
	}
	if want := "exit status " + args[0]; args[0] == "0" && err != nil || args[0] != "0" && code != want {
		ts.Fatalf("got %v, want %s", err, want)
	}
}

// lines wants a file to have so many lines: lines 3 FILE.
func lines(ts *testscript.TestScript, neg bool, args []string) {
	b, err := os.ReadFile(ts.MkAbs(args[1]))
	ts.Check(err)
	n := 0
	for _, c := range b {
		if c == '\n' {
			n++
		}
	}
	if got := strconv.Itoa(n); got != args[0] || neg {
		ts.Fatalf("%s has %s lines, want %s", args[1], got, args[0])
	}
}
