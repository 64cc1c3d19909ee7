package main

import (
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
)

// flagsFirst moves flags where the library wants them: those of a command
// before its arguments, global ones before the command. People write
// haul archive @name -d DIR --json. What follows -- are arguments.
func flagsFirst(app *cli.App, args []string) []string {
	at := commandAt(app, args)
	if at < 0 {
		return args
	}
	cmd, first := app.Command(args[at]), at
	if cmd == nil || cmd.SkipFlagParsing {
		return args
	}
	for ; at+1 < len(args); at++ {
		sub := slices.IndexFunc(cmd.Subcommands, func(s *cli.Command) bool { return s.HasName(args[at+1]) })
		if sub < 0 {
			break
		}
		cmd = cmd.Subcommands[sub]
	}
	var global, flags, rest []string
	for i := at + 1; i < len(args); i++ {
		a := args[i]
		if a == "--" {
			rest = append(rest, args[i+1:]...)
			break
		}
		if len(a) < 2 || a[0] != '-' || isID(a) {
			rest = append(rest, a)
			continue
		}
		list, known := &flags, cmd.Flags
		if !has(cmd.Flags, a) && has(app.Flags, a) {
			list, known = &global, app.Flags
		}
		*list = append(*list, a)
		if !takesValue(known, a) {
			continue
		}
		if i++; i < len(args) {
			*list = append(*list, args[i])
			continue
		}
		if list == &global { // the last word lacks its value: nothing may come to stand there
			return slices.Concat(args[:first], global)
		}
		return slices.Concat(args[:first], global, args[first:at+1], flags)
	}
	if len(rest) > 0 { // arguments never look like flags to the library
		flags = append(flags, "--")
	}
	return slices.Concat(args[:first], global, args[first:at+1], flags, rest)
}

// isID reports whether an argument is the id of a group or channel: -100123. No
// flag is called so.
func isID(a string) bool {
	_, err := strconv.ParseInt(a, 10, 64)
	return err == nil && a[0] == '-'
}

// commandAt is the index of the command, -1 if there is none.
func commandAt(app *cli.App, args []string) int {
	for i := 1; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "--":
			return -1
		case len(a) < 2 || a[0] != '-':
			return i
		case takesValue(app.Flags, a):
			i++
		}
	}
	return -1
}

// commandName is the name of the command, "" if there is none.
func commandName(app *cli.App, args []string) string {
	if at := commandAt(app, args); at >= 0 {
		if c := app.Command(args[at]); c != nil {
			return c.Name
		}
	}
	return ""
}

// has says whether the flag a is one of flags.
func has(flags []cli.Flag, a string) bool {
	name, _, _ := strings.Cut(strings.TrimLeft(a, "-"), "=")
	return slices.ContainsFunc(flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), name) })
}

// takesValue says whether the next argument belongs to the flag a.
func takesValue(flags []cli.Flag, a string) bool {
	name := strings.TrimLeft(a, "-")
	if strings.Contains(name, "=") {
		return false
	}
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			_, isBool := f.(*cli.BoolFlag)
			_, isOptional := f.(*cli.GenericFlag) // its value stands behind =
			return !isBool && !isOptional
		}
	}
	return false
}
