package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

func manCommand() *cli.Command {
	return &cli.Command{
		Name: "man", Usage: "print the manual page", OnUsageError: usageError,
		Description: "Example:\n   haul man > haul.1\n   haul man | man -l -",
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			app := newApp()
			app.Setup()
			escapeUsages(app.Flags, app.Commands)
			page, err := app.ToManWithSection(1)
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(c.App.Writer, page, manDescriptions(app.Commands, "haul"), manExitCodes)
			return err
		},
	}
}

// markdown are the characters of usages that the library's page would take for
// formatting. Backquotes around the name of a value stay.
var markdown = regexp.MustCompile(`[*_\\]`)

// escapeUsages has usages come out of the library's Markdown as they are.
func escapeUsages(flags []cli.Flag, commands []*cli.Command) {
	for _, f := range flags {
		escape := func(usage *string) { *usage = markdown.ReplaceAllString(*usage, `\$0`) }
		switch f := f.(type) {
		case *cli.StringFlag:
			escape(&f.Usage)
		case *cli.IntFlag:
			escape(&f.Usage)
		case *cli.BoolFlag:
			escape(&f.Usage)
		case *cli.Float64Flag:
			escape(&f.Usage)
		case *cli.DurationFlag:
			escape(&f.Usage)
		case *cli.GenericFlag:
			escape(&f.Usage)
		}
	}
	for _, c := range commands {
		escapeUsages(c.Flags, c.Subcommands)
	}
}

// manDescriptions is the text of each command's help that the library leaves out.
func manDescriptions(commands []*cli.Command, front string) string {
	var page strings.Builder
	if front == "haul" {
		page.WriteString("\n.SH DESCRIPTIONS\n")
	}
	for _, c := range commands {
		if c.Hidden || c.Description == "" {
			continue
		}
		name := front + " " + c.Name
		_, _ = fmt.Fprintf(&page, ".SS %s\n.nf\n%s\n.fi\n", roff(name), roff(c.Description))
		page.WriteString(manDescriptions(c.Subcommands, name))
	}
	return page.String()
}

// roff is text as lines that the page shows as they are.
func roff(text string) string {
	lines := strings.Split(strings.ReplaceAll(text, `\`, `\e`), "\n")
	for i, l := range lines {
		l = strings.ReplaceAll(l, "-", `\-`)
		if slices.ContainsFunc([]string{".", "'"}, func(p string) bool { return strings.HasPrefix(l, p) }) {
			l = `\&` + l
		}
		lines[i] = l
	}
	return strings.Join(lines, "\n")
}

// manExitCodes are those of README.md.
const manExitCodes = `
.SH EXIT STATUS
.nf
0    everything is done
1    failed
2    wrong usage
3    some files failed, or verify found some wrong; they are named, and a second run tries them again
4    sign in first
5    a flood wait exceeds \-\-max\-wait; run again later, it continues
6    another process uses the store, and its PID is named; or another run writes to the archive, and its folder is
130  interrupted; run again, it continues
.fi
`
