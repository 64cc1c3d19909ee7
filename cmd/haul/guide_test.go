package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// guidePath is the guide, from the folder of this package.
var guidePath = filepath.Join("..", "..", "docs", "guide.md")

// guideCommands are the commands in the tables of the guide.
func guideCommands() ([]string, error) {
	b, err := os.ReadFile(guidePath)
	if err != nil {
		return nil, err
	}
	var commands []string
	for line := range strings.Lines(string(b)) {
		cells := strings.Split(strings.Trim(line, "|\n "), " | ")
		if len(cells) != 2 || !strings.HasPrefix(cells[1], "`haul ") {
			continue
		}
		commands = append(commands, strings.Trim(cells[1], "` "))
	}
	return commands, nil
}

// words splits a command line as a shell does, as far as the guide needs it.
func words(line string) (list []string) {
	word, quote, in := "", rune(0), false
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			quote, in = r, true
		case quote == 0 && r == ' ':
			if in {
				list = append(list, word)
			}
			word, in = "", false
		default:
			word, in = word+string(r), true
		}
	}
	if in {
		list = append(list, word)
	}
	return list
}

// guide runs the commands of the guide, one after the other, each of which has
// to end well.
func guide(ts *testscript.TestScript, _ bool, _ []string) {
	commands, err := guideCommands()
	ts.Check(err)
	for _, command := range commands {
		w := words(command)
		ts.Logf("guide: %s", command)
		if err := ts.Exec(w[0], w[1:]...); err != nil {
			ts.Fatalf("%s: %v", command, err)
		}
	}
}

// All of the tables is run, and every flag that says which files are meant is in them.
func TestGuide(t *testing.T) {
	commands, err := guideCommands()
	if err != nil {
		t.Fatal(err)
	}
	if len(commands) < 30 {
		t.Errorf("%d commands were found in the guide", len(commands))
	}
	all := strings.Join(commands, " ")
	for _, f := range dlJob().what() {
		names := f.Names()
		if !slices.ContainsFunc(names, func(n string) bool {
			return strings.Contains(all, " --"+n+" ") || len(n) == 1 && strings.Contains(all, " -"+n+" ")
		}) {
			t.Errorf("the guide has no command with --%s", names[0])
		}
	}
	if got := words(`haul dl 'a b' --filter 'x "y"' "z'" `); !slices.Equal(got, []string{"haul", "dl", "a b", "--filter", `x "y"`, "z'"}) {
		t.Errorf("words are %q", got)
	}
}
