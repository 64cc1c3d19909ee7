package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The manual page has the exit codes of README.md, in its words.
func TestManExitCodes(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, row := range regexp.MustCompile(`(?m)^\| (\d+) \| (.*) \|$`).FindAllStringSubmatch(string(readme), -1) {
		want = append(want, row[1]+" "+strings.ReplaceAll(row[2], "`", ""))
	}
	for _, row := range regexp.MustCompile(`(?m)^(\d+) +(.*)$`).FindAllStringSubmatch(manExitCodes, -1) {
		got = append(got, row[1]+" "+strings.ReplaceAll(row[2], `\-`, "-"))
	}
	if len(want) != 8 || strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the page says:\n%s\nREADME.md:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
