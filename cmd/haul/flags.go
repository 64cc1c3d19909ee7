package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/urfave/cli/v2"
)

// envOf is the variable of a flag: --bwlimit is HAUL_BWLIMIT.
func envOf(name string) []string {
	return []string{"HAUL_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))}
}

func stringFlag(name, value, usage string, aliases ...string) *cli.StringFlag {
	return &cli.StringFlag{Name: name, Value: value, Usage: usage, Aliases: aliases, EnvVars: envOf(name)}
}

func intFlag(name string, value int, usage string, aliases ...string) *cli.IntFlag {
	return &cli.IntFlag{Name: name, Value: value, Usage: usage, Aliases: aliases, EnvVars: envOf(name)}
}

func boolFlag(name, usage string, aliases ...string) *cli.BoolFlag {
	return &cli.BoolFlag{Name: name, Usage: usage, Aliases: aliases, EnvVars: envOf(name)}
}

func globalFlags() []cli.Flag {
	return append([]cli.Flag{
		stringFlag("config", "", "read defaults of flags from this TOML `FILE`"),
		stringFlag("store", "", "keep state in this `DIR` (default: the system's place for it)"),
		stringFlag("account", "", "use the account called `NAME` (default: the one of haul accounts use, or \"default\")", "n"),
		intFlag("app-id", 0, "app id from my.telegram.org"),
		stringFlag("app-hash", "", "app hash from my.telegram.org"),
		boolFlag("pfs", "use temporary auth keys (perfect forward secrecy)"),
		stringFlag("log-level", "warn", "debug, info, warn or error"),
		stringFlag("log-file", "", "write the log to this `FILE`"),
		stringFlag("log-format", "text", "text or json"),
		boolFlag("json", "print events as JSON, one a line, and nothing else"),
		boolFlag("quiet", "print only errors", "q"),
		boolFlag("no-progress", "no bars, also on a terminal"),
		&cli.BoolFlag{Name: "version", Usage: "print the version"},
	}, networkFlags()...)
}

// applyConfig gives flags that are set neither on the command line nor by a
// variable the value of the configuration file.
func applyConfig(c *cli.Context) error {
	path := c.String("config")
	if path == "" {
		dir, err := os.UserConfigDir()
		if err != nil {
			return nil //nolint:nilerr // no home, no configuration
		}
		path = filepath.Join(dir, "haul", "config.toml")
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	}
	var values map[string]any
	if _, err := toml.DecodeFile(path, &values); err != nil {
		return usagef("configuration %s: %w", path, err)
	}
	known := knownFlags(c.App)
	for key := range values {
		if !slices.Contains(known, key) {
			return usagef("configuration %s: unknown key %q", path, key)
		}
	}
	c.App.Metadata["config"], c.App.Metadata["config-path"] = values, path
	return applyValues(c, values)
}

// applyCommandConfig is applyConfig for the flags of a command.
func applyCommandConfig(c *cli.Context) error {
	values, _ := c.App.Metadata["config"].(map[string]any)
	return applyValues(c, values)
}

func applyValues(c *cli.Context, values map[string]any) error {
	flags := c.Command.Flags
	if c.Command.Name == c.App.Name || len(flags) == 0 {
		flags = c.App.Flags
	}
	for _, f := range flags {
		name, key := f.Names()[0], configKey(f)
		v, ok := values[key]
		if !ok || c.IsSet(name) {
			continue
		}
		if err := c.Set(name, fmt.Sprint(v)); err != nil {
			if want := wanted(f); want != "" {
				return usagef("configuration: %s = %v: %s", key, v, want)
			}
			return usagef("configuration: %s: %w", key, err)
		}
	}
	return nil
}

// configKey is the key of a flag in the configuration file. It says what its
// variable says: thumbs is HAUL_THUMBS, and up-thumbs is HAUL_UP_THUMBS, since
// haul up means something else by it.
func configKey(f cli.Flag) string {
	if d, ok := f.(cli.DocGenerationFlag); ok && len(d.GetEnvVars()) > 0 {
		return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(d.GetEnvVars()[0], "HAUL_"), "_", "-"))
	}
	return f.Names()[0]
}

// knownFlags are the keys that the configuration may have.
func knownFlags(app *cli.App) []string {
	var names []string
	for _, f := range app.Flags {
		names = append(names, configKey(f))
	}
	for _, cmd := range app.Commands {
		for _, f := range cmd.Flags {
			names = append(names, configKey(f))
		}
	}
	return names
}

// logger makes the log that the flags ask for, and says how to close it.
func logger(c *cli.Context) (*slog.Logger, func(), error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.String("log-level"))); err != nil {
		return nil, nil, usagef("--log-level %q: want debug, info, warn or error", c.String("log-level"))
	}
	out, done := c.App.ErrWriter, func() {}
	if path := c.String("log-file"); path != "" {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, nil, err
		}
		out, done = f, func() { _ = f.Close() }
	}
	o := &slog.HandlerOptions{Level: level}
	switch c.String("log-format") {
	case "text":
		return slog.New(slog.NewTextHandler(out, o)), done, nil
	case "json":
		return slog.New(slog.NewJSONHandler(out, o)), done, nil
	default:
		done()
		return nil, nil, usagef("--log-format %q: want text or json", c.String("log-format"))
	}
}
