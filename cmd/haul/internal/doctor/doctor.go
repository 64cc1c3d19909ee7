// Package doctor judges what haul doctor has looked at: each function takes
// facts, and says in findings what is wrong with them and what to do next.
package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// A State is how bad a finding is.
type State string

// States of findings.
const (
	OK      State = "ok"
	Note    State = "note"    // worth knowing, and haul works
	Wrong   State = "wrong"   // has to be seen to
	Skipped State = "skipped" // could not be looked at, and why
)

// A Finding is what one check has found. Text and Hint are for people, Check
// and Values for programs.
type Finding struct {
	Check  string // "permissions", "lock", "clock" and so on
	State  State
	Text   string
	Hint   string         // what to do next; "" if there is nothing to do
	Values map[string]any // what was measured, by name; nil if nothing
}

func ok(check, format string, args ...any) Finding {
	return Finding{Check: check, State: OK, Text: fmt.Sprintf(format, args...)}
}

func wrong(check, hint, format string, args ...any) Finding {
	return Finding{Check: check, State: Wrong, Text: fmt.Sprintf(format, args...), Hint: hint}
}

func note(check, hint, format string, args ...any) Finding {
	return Finding{Check: check, State: Note, Text: fmt.Sprintf(format, args...), Hint: hint}
}

// Skip says why a check could not be made.
func Skip(check, format string, args ...any) Finding {
	return Finding{Check: check, State: Skipped, Text: fmt.Sprintf(format, args...)}
}

// with adds a value.
func (f Finding) with(name string, value any) Finding {
	if f.Values == nil {
		f.Values = make(map[string]any)
	}
	f.Values[name] = value
	return f
}

// A Printer prints findings as they come, and counts them.
type Printer struct {
	Out   io.Writer
	JSON  bool // a line of JSON each
	Width int  // columns to wrap at; 0: no wrapping
	Color bool
	Quiet bool // only what is wrong

	counts  map[State]int
	started time.Time
}

// Add prints findings.
func (p *Printer) Add(list ...Finding) error {
	if p.counts == nil {
		p.counts, p.started = make(map[State]int), time.Now()
	}
	for _, f := range list {
		p.counts[f.State]++
		if err := p.print(f); err != nil {
			return err
		}
	}
	return nil
}

// Wrong is how many findings are wrong.
func (p *Printer) Wrong() int { return p.counts[Wrong] }

// line is a finding as JSON.
type line struct {
	Event  string         `json:"event"`
	Time   time.Time      `json:"time"`
	Check  string         `json:"check"`
	State  State          `json:"state"`
	Text   string         `json:"text"`
	Hint   string         `json:"hint,omitempty"`
	Values map[string]any `json:"values,omitempty"`
}

func (p *Printer) print(f Finding) error {
	if p.JSON {
		return json.NewEncoder(p.Out).Encode(line{"finding", time.Now(), f.Check, f.State, f.Text, f.Hint, f.Values})
	}
	if p.Quiet && f.State != Wrong {
		return nil
	}
	const indent = len(Skipped) + 2
	body := wrap(f.Check+": "+f.Text, p.Width-indent)
	if f.Hint != "" {
		for i, l := range wrap(f.Hint, p.Width-indent-2) {
			body = append(body, map[bool]string{true: "→ ", false: "  "}[i == 0]+l)
		}
	}
	for i, l := range body {
		label := strings.Repeat(" ", indent)
		if i == 0 {
			label = p.label(f.State) + strings.Repeat(" ", indent-len(f.State))
		}
		if _, err := fmt.Fprintln(p.Out, label+l); err != nil {
			return err
		}
	}
	return nil
}

// label is the state, in its colour.
func (p *Printer) label(s State) string {
	codes := map[State]string{OK: "32", Note: "33", Wrong: "1;31", Skipped: "2"}
	if !p.Color {
		return string(s)
	}
	return "\x1b[" + codes[s] + "m" + string(s) + "\x1b[0m"
}

// Done prints the end.
func (p *Printer) Done() error {
	if p.JSON {
		return json.NewEncoder(p.Out).Encode(struct {
			Event   string    `json:"event"`
			Time    time.Time `json:"time"`
			Wrong   int       `json:"wrong"`
			Notes   int       `json:"notes"`
			Skipped int       `json:"skipped"`
			OK      int       `json:"ok"`
			Seconds float64   `json:"seconds"`
		}{"doctor_done", time.Now(), p.counts[Wrong], p.counts[Note], p.counts[Skipped], p.counts[OK], time.Since(p.started).Seconds()})
	}
	if p.counts[Wrong] > 0 || p.Quiet {
		return nil // the error says it
	}
	_, err := fmt.Fprintln(p.Out, "nothing is wrong")
	return err
}

// wrap breaks a text into lines of at most width characters, at blanks; words
// that are longer stay whole. Width 0 or less: one line.
func wrap(text string, width int) []string {
	if width <= 0 {
		return []string{text}
	}
	var lines []string
	for _, word := range strings.Fields(text) {
		last := len(lines) - 1
		if last >= 0 && utf8.RuneCountInString(lines[last])+1+utf8.RuneCountInString(word) <= width {
			lines[last] += " " + word
			continue
		}
		lines = append(lines, word)
	}
	return lines
}
