package main

import (
	"fmt"
	"slices"
	"testing"

	"github.com/urfave/cli/v2"
)

// One variable, and so one key of the configuration, sets no two flags that take
// different kinds of values or mean different things.
func TestFlagsOfOneName(t *testing.T) {
	// The words differ, not the meaning.
	same := []string{"HAUL_COMMENTS", "HAUL_DIR", "HAUL_DRY_RUN", "HAUL_TEMPLATE"}
	type meaning struct{ kind, usage string }
	seen := make(map[string]meaning)
	for _, cmd := range newApp().Commands {
		for _, f := range cmd.Flags {
			d, ok := f.(cli.DocGenerationFlag)
			if !ok {
				t.Fatalf("haul %s: no variables of %v are known", cmd.Name, f.Names())
			}
			for _, env := range d.GetEnvVars() {
				m := meaning{fmt.Sprintf("%T", f), d.GetUsage()}
				if slices.Contains(same, env) {
					m.usage = ""
				}
				if o, ok := seen[env]; ok && o != m {
					t.Errorf("%s is %v, and for haul %s %v", env, o, cmd.Name, m)
				}
				seen[env] = m
			}
		}
	}
	for env, key := range map[string]string{"HAUL_UP_THUMBS": "up-thumbs", "HAUL_MIN_SIZE": "min-size"} {
		if _, ok := seen[env]; !ok || !slices.Contains(knownFlags(newApp()), key) {
			t.Errorf("no variable %s or no key %s", env, key)
		}
	}
}
