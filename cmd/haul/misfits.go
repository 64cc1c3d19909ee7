package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/tghaul/haul/telegram"
)

// A misfit is a flag that would do nothing on some command lines. To leave it
// unsaid would make people believe that it did. Variables and the configuration
// file are for many command lines, so that only what is typed can be a misfit.
type misfit struct {
	flags string // words; any of them
	when  func(c *cli.Context) bool
	why   string // after the flag's name
}

// misfits are those of the command of a job, beside what contradicts itself
// altogether, which its check refuses wherever it comes from.
func misfits(command string) []misfit {
	dryRun := misfit{"report metrics takeout", given("dry-run"), "has nothing to do in a --dry-run: leave one of them out"}
	switch command {
	case "dl":
		return []misfit{
			dryRun,
			{"search", given("album"), "does not go with --album: a search finds single files"},
			{"search", given("comments"), "does not go with --comments: a search finds no comments"},
			{"search", searchesNothing, "is for --type photo or video: all other kinds are searched for anyway"},
			{
				"from to type include exclude min-size max-size filter topic album comments reverse search template no-join", onlyFileIDs,
				"does not go with file ids: each is one file, of which nothing else is known",
			},
			{"reverse", onlyExport, "does not go with --file alone: its files are fetched in its own order"},
		}
	case "archive":
		return []misfit{dryRun}
	case "up":
		return []misfit{
			{"parse-mode", func(c *cli.Context) bool { return c.String("caption") == "" }, "is how --caption is written, which is missing"},
			{"thumbs", asDocuments, "does not go with --as document: documents have no previews"},
			{"verify-server", func(*cli.Context) bool { return true }, "is for downloads; of what is sent --delete-source has each byte proven"},
		}
	default:
		return nil
	}
}

func given(flag string) func(c *cli.Context) bool {
	return func(c *cli.Context) bool { return c.Bool(flag) }
}

// searchesNothing reports whether --search makes no difference to --type.
func searchesNothing(c *cli.Context) bool {
	kinds := strings.ToLower(c.String("type"))
	return !strings.Contains(kinds, "photo") && !strings.Contains(kinds, "video")
}

func onlyFileIDs(c *cli.Context) bool {
	args := c.Args().Slice()
	return len(args) > 0 && c.String("file") == "" && !slices.ContainsFunc(args, func(a string) bool { return !telegram.IsFileID(a) })
}

func onlyExport(c *cli.Context) bool { return c.NArg() == 0 && c.String("file") != "" }

func asDocuments(c *cli.Context) bool {
	as, err := parseKinds(c.String("as"))
	return err == nil && as == 0
}

// checkDir refuses a folder without a name.
func checkDir(c *cli.Context) error {
	if c.IsSet("dir") && c.String("dir") == "" {
		return usagef("--dir names no folder; . is the one that you are in")
	}
	return nil
}

// checkMisfits refuses flags that were typed and would do nothing.
func checkMisfits(command string, c *cli.Context, typed map[string]string) error {
	for _, m := range misfits(command) {
		for flag := range strings.FieldsSeq(m.flags) {
			if _, is := typed[flag]; is && typed[flag] != "false" && m.when(c) {
				return usagef("--%s %s", flag, m.why)
			}
		}
	}
	return nil
}

// upTuning are the flags of haul up that say how: those of all transfers, but for
// one that older versions took and that has never done anything there.
func upTuning() []cli.Flag {
	flags := tuningFlags()
	for _, f := range flags {
		if b, is := f.(*cli.BoolFlag); is && b.Name == "verify-server" {
			b.Hidden = true
		}
	}
	return flags
}
