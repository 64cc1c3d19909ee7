package main

import (
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// Whatever is offered for a flag is what the flag takes.
func TestFlagChoicesExist(t *testing.T) {
	app := newApp()
	for name, values := range flagChoices() {
		flags := app.Flags
		if command, flag, ok := strings.Cut(name, " "); ok {
			flags, name = app.Command(command).Flags, flag
		} else {
			for _, c := range app.Commands {
				flags = append(flags, c.Flags...)
			}
		}
		found := false
		for _, f := range flags {
			doc, ok := f.(cli.DocGenerationFlag)
			if !ok || f.Names()[0] != name {
				continue
			}
			found = true
			for _, v := range values {
				if !strings.Contains(doc.GetUsage(), v) {
					t.Errorf("--%s: its usage does not tell of %s", name, v)
				}
			}
			break
		}
		if !found {
			t.Errorf("there is no flag --%s", name)
		}
	}
}
