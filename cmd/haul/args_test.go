package main

import (
	"strings"
	"testing"
)

// TestFlagsFirst: flags may stand anywhere; of one at the end that lacks its value
// nothing else is made the value.
func TestFlagsFirst(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"haul up f --to @x --json":     "haul --json up --to @x -- f",
		"haul dl @x -d out":            "haul dl -d out -- @x",
		"haul dl @x -d out -- -y":      "haul dl -d out -- @x -y",
		"haul up f --to":               "haul up --to",
		"haul up f --silent --to":      "haul up --silent --to",
		"haul dl @x --json --store":    "haul --json --store",
		"haul up --to @x -- -f --":     "haul up --to @x -- -f --",
		"haul jobs rm k3f7 --json":     "haul --json jobs rm -- k3f7",
		"haul dl -1001234567890 -d o ": "haul dl -d o -- -1001234567890",
	} {
		if got := strings.Join(flagsFirst(newApp(), strings.Fields(line)), " "); got != want {
			t.Errorf("%s became %s, want %s", line, got, want)
		}
	}
}
