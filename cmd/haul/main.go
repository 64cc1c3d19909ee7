// Command haul moves media in bulk between Telegram and disk.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"runtime/debug"
	"slices"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/tghaul/haul/mtproto"
)

// version is set when a release is built.
var version = "0.1.0-dev"

// gcPercent lets garbage pile up to half of what is in use, and not to all of
// it: haul makes little of it, and collecting takes less than 1% of its time
// either way. GOGC, if it is set, comes first.
const gcPercent = 50

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	os.Exit(run(os.Args, nil))
}

// run is the whole program; its result is the exit code. dial reaches the
// network; nil: as usual.
func run(args []string, dial mtproto.DialFunc) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // whoever asks a second time does not want to wait
	app := newApp()
	app.Metadata = map[string]any{dialKey: dial}
	args = flagsFirst(app, args)
	err := app.RunContext(ctx, args)
	if usage := (*usageErr)(nil); errors.As(err, &usage) {
		usage.command = commandName(app, args)
	}
	return report(os.Stderr, ctx, err)
}

func newApp() *cli.App {
	return &cli.App{
		Name:        "haul",
		Usage:       "move media in bulk between Telegram and disk",
		Version:     version,
		HideVersion: true,
		Flags:       globalFlags(),
		Commands: []*cli.Command{
			demoCommand(), loginCommand(), logoutCommand(), whoamiCommand(), accountsCommand(), chatsCommand(), lsCommand(), archiveCommand(), dlCommand(), upCommand(), forwardCommand(),
			jobsCommand(), resumeCommand(), verifyCommand(), joinCommand(), galleryCommand(), doctorCommand(), benchCommand(), simCommand(), completionCommand(), completeCommand(), manCommand(),
			versionCommand(),
		},
		Before:         applyConfig,
		OnUsageError:   usageError,
		ExitErrHandler: func(*cli.Context, error) {}, // report does it
		Action: func(c *cli.Context) error {
			if c.Bool("version") {
				return printVersion(c)
			}
			if c.NArg() > 0 {
				return usagef("no command %q; haul help lists them", c.Args().First())
			}
			return cli.ShowAppHelp(c)
		},
	}
}

// badValue is how the flag package says that a value cannot be read.
var badValue = regexp.MustCompile(`^invalid (?:boolean )?value (".*") for (?:flag )?-([a-z-]+): `)

// badVariable is how the library says it of a variable.
var badVariable = regexp.MustCompile(`^could not parse (".*") as .* value from environment variable "([A-Z_]+)" for flag ([a-z-]+): `)

// usageError makes an error of the library's one of ours.
func usageError(c *cli.Context, err error, _ bool) error {
	if m := badValue.FindStringSubmatch(err.Error()); m != nil {
		for _, f := range slices.Concat(c.Command.Flags, c.App.Flags) {
			if want := wanted(f); want != "" && slices.Contains(f.Names(), m[2]) {
				return usagef("--%s %s: %s", f.Names()[0], m[1], want)
			}
		}
	}
	if m := badVariable.FindStringSubmatch(err.Error()); m != nil {
		for _, f := range slices.Concat(c.Command.Flags, c.App.Flags) {
			if want := wanted(f); want != "" && f.Names()[0] == m[3] {
				return usagef("the variable %s is %s: %s", m[2], m[1], want)
			}
		}
	}
	return &usageErr{error: err}
}

// wanted says what a value of a flag looks like, "" if it may be anything.
func wanted(f cli.Flag) string {
	switch f.(type) {
	case *cli.DurationFlag:
		return "want a time such as 30s, 5m or 1h30m"
	case *cli.IntFlag:
		return "want a whole number"
	case *cli.Float64Flag:
		return "want a number"
	case *cli.BoolFlag:
		return "want true or false"
	default:
		return ""
	}
}

// noArguments fails if a command that takes none was given some.
func noArguments(c *cli.Context) error {
	if c.NArg() > 0 {
		return usagef("haul %s takes no arguments, such as %q", c.Command.Name, c.Args().First())
	}
	return nil
}

func versionCommand() *cli.Command {
	return &cli.Command{
		Name: "version", Usage: "print the version", Description: "Example:\n   haul version",
		OnUsageError: usageError,
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			return printVersion(c)
		},
	}
}

func printVersion(c *cli.Context) error {
	_, err := fmt.Fprintln(c.App.Writer, "haul", version)
	return err
}
