package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v2"
)

// checkSkipValue refuses --skip-existing sha256: the flag may stand alone, so
// that its value, behind a blank, would be taken for a file to send. One that
// there is may have such a name.
func checkSkipValue(c *cli.Context) error {
	if fmt.Sprint(c.Generic("skip-existing")) == "" {
		return nil
	}
	for _, arg := range c.Args().Slice() {
		if _, err := os.Lstat(arg); err != nil && isSkipValue(arg) {
			return usagef("there is no file %q; the value of a flag that may stand alone needs =: --skip-existing=%s", arg, arg)
		}
	}
	return nil
}

func isSkipValue(text string) bool {
	for word := range strings.SplitSeq(text, ",") {
		if skipReasons[strings.ToLower(strings.TrimSpace(word))] == "" {
			return false
		}
	}
	return true
}
