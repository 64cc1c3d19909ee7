// Command haul moves media in bulk between Telegram and disk.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
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
	err := app.RunContext(ctx, flagsFirst(app, args))
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
			if c.NArg() > 0 {
				return usagef("no command %q; haul help lists them", c.Args().First())
			}
			return cli.ShowAppHelp(c)
		},
	}
}

func usageError(_ *cli.Context, err error, _ bool) error { return &usageErr{err} }

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
			_, err := fmt.Fprintln(c.App.Writer, "haul", version)
			return err
		},
	}
}
