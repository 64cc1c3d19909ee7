package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// What a run that was killed has left of its report is removed by the next with
// the same report; those of runs that go on, and of other reports, stay.
func TestReportLeavesNothing(t *testing.T) {
	t.Parallel()
	dead := exec.Command(os.Args[0], "-test.run=^$")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path, other := filepath.Join(dir, "report.json"), filepath.Join(dir, "other.json")
	want := []string{"report.json"}
	for _, f := range []struct {
		report string
		pid    int
		stays  bool
	}{{path, dead.Process.Pid, false}, {path, os.Getppid(), true}, {other, dead.Process.Pid, true}} {
		name := fmt.Sprintf("%s%d-123", unfinishedReport(f.report), f.pid)
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if f.stays {
			want = append(want, name)
		}
	}
	r, err := newReportFile(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := newReportFile(path) // beside it, by the same process
	if err != nil {
		t.Fatal(err)
	}
	again.discard()
	if err := r.complete(); err != nil {
		t.Fatal(err)
	}
	var got []string
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		got = append(got, e.Name())
	}
	slices.Sort(want)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("in the folder are %v, want %v; %v", got, want, err)
	}
}
