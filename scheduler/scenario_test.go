package scheduler

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the scenarios in testdata with what the scheduler does")

// TestScenarios plays the files in testdata. A line that begins with a time is
// an event; indented lines after it are the actions that must follow. Run with
// -update to rewrite those, and read them before committing.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got, err := play(want)
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				if err := os.WriteFile(path, got, 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if !bytes.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// play returns a scenario with the actions that the scheduler answers with.
func play(text []byte) ([]byte, error) {
	var out bytes.Buffer
	var cfg Config
	var c *Core
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		line := lines.Text()
		words := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "\t"):
			continue // an action of the time before
		case len(words) == 0 || words[0] == "#":
			fmt.Fprintln(&out, line)
			continue
		}
		fmt.Fprintln(&out, line)
		args, err := arguments(words)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", line, err)
		}
		if words[0] == "config" {
			cfg = Config{
				Transfers: args.int("transfers"), SmallTransfers: args.int("small"), Connections: args.int("connections"),
				ConnWindow: args.bytes("connwindow"), MaxWindow: args.bytes("window"), Budget: args.bytes("budget"),
			}
			continue
		}
		if c == nil {
			c = New(cfg)
		}
		at, err := time.ParseDuration(words[0])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", line, err)
		}
		e, err := parseEvent(words[1], args)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", line, err)
		}
		for _, a := range c.Handle(epoch.Add(at), e) {
			fmt.Fprintf(&out, "\t%s\n", describe(a))
		}
		if e == (Tick{}) {
			wake, ok := c.Wake()
			fmt.Fprintf(&out, "\t(held %s, wake %s)\n", size(c.Held()), since(wake, ok))
		}
	}
	return out.Bytes(), nil
}

func since(t time.Time, ok bool) string {
	if !ok {
		return "never"
	}
	return t.Sub(epoch).String()
}

type args map[string]string

func arguments(words []string) (args, error) {
	a := make(args)
	for _, w := range words[1:] {
		if k, v, ok := strings.Cut(w, "="); ok {
			a[k] = v
		}
	}
	return a, nil
}

func (a args) int(key string) int {
	n, _ := strconv.Atoi(a[key]) // 0: the default
	return n
}

// bytes reads 5M, 64K or 7.
func (a args) bytes(key string) int64 {
	s := a[key]
	unit := int64(1)
	switch {
	case strings.HasSuffix(s, "M"):
		s, unit = s[:len(s)-1], 1<<20
	case strings.HasSuffix(s, "K"):
		s, unit = s[:len(s)-1], 1<<10
	}
	n, _ := strconv.ParseInt(s, 10, 64) // 0: the default
	return n * unit
}

func (a args) float(key string) float64 {
	v, _ := strconv.ParseFloat(a[key], 64) // 0: the default
	return v
}

func (a args) duration(key string) time.Duration {
	d, _ := time.ParseDuration(a[key]) // 0: the default
	return d
}

func (a args) route() Route { return Route{DC: a.int("dc"), Use: Download, Method: "getFile"} }

func parseEvent(name string, a args) (Event, error) {
	id, attempt := FileID(a.int("file")), AttemptID(a.int("attempt"))
	failure := Failure{Err: errors.New(name), Wait: a.duration("wait"), Route: a.route()}
	switch name {
	case "add":
		return Add{File: id, Route: a.route(), Size: a.bytes("size"), Priority: int64(a.int("priority"))}, nil
	case "ready":
		var parts []Part
		for n := range a.int("parts") {
			parts = append(parts, Part{N: n, Size: 1 << 20})
		}
		return Ready{File: id, Parts: parts}, nil
	case "abort":
		return Abort{File: id}, nil
	case "resume":
		return Resume{File: id}, nil
	case "answered":
		return Answered{Attempt: attempt}, nil
	case "written":
		return Written{Attempt: attempt}, nil
	case "hold":
		return Hold{Scope: a.route().Scope(), Until: epoch.Add(a.duration("until"))}, nil
	case "recall":
		return Recall{Age: a.duration("age"), Learned: Learned{
			Scope: a.route().Scope(), Rate: a.float("rate"), InFlight: a.int("inflight"),
			Standing: Standing{
				Phase: a["phase"], Low: a.float("low"), Hold: a.duration("hold"), Held: a.duration("held"),
				Lessons: a.int("lessons"), Odd: a.int("odd"), Pause: a.float("pause"),
				Peak: Peak{Requests: a.float("peak"), Pace: a.float("rate"), Pause: a.float("pause")},
			},
		}}, nil
	case "limits":
		return SetLimits{Limits{Down: float64(a.bytes("down")), Requests: a.float("requests")}}, nil
	case "tick":
		return Tick{}, nil
	}
	kinds := map[string]Kind{
		"trouble": Trouble, "bad": BadAnswer, "flood": Flood, "lost": ConnLost, "moved": Moved, "stale": Stale, "again": Again,
	}
	kind, ok := kinds[name]
	if !ok {
		return nil, fmt.Errorf("unknown event %q", name)
	}
	failure.Kind = kind
	return Failed{Attempt: attempt, Failure: failure}, nil
}

func describe(a Action) string {
	switch a := a.(type) {
	case Start:
		return fmt.Sprintf("start file=%d", a.File)
	case *Send:
		s := fmt.Sprintf("send attempt=%d file=%d part=%d dc=%d conn=%d", a.Attempt, a.File, a.Part.N, a.Route.DC, a.Conn)
		if a.Reissue {
			s += " reissue"
		}
		return s
	case *Accept:
		return fmt.Sprintf("accept attempt=%d", a.Attempt)
	case Drop:
		return fmt.Sprintf("drop attempt=%d", a.Attempt)
	case Cancel:
		return fmt.Sprintf("cancel attempt=%d", a.Attempt)
	case Refresh:
		return fmt.Sprintf("refresh file=%d", a.File)
	case Wait:
		return fmt.Sprintf("wait dc=%d for=%v until=%v", a.Scope.DC, a.For, a.Until.Sub(epoch))
	case Complete:
		return fmt.Sprintf("complete file=%d", a.File)
	case GiveUp:
		return fmt.Sprintf("give up file=%d part=%d: %v", a.File, a.Part, a.Err)
	case Learn:
		return fmt.Sprintf("learn dc=%d rate=%.2f inflight=%d", a.Scope.DC, a.Rate, a.InFlight)
	case Disconnect:
		return fmt.Sprintf("disconnect dc=%d conn=%d", a.Pool.DC, a.Conn)
	default:
		return fmt.Sprintf("unknown action %T", a)
	}
}

func size(n int64) string { return strconv.FormatInt(n>>20, 10) + "M" }
