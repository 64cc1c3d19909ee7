package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/tghaul/haul/transfer/archive"
)

func dedupeFlag() cli.Flag {
	return stringFlag("dedupe", "", "what to do with files whose content is in an archive below DIR already: off (the default), hardlink (a second name for it), or reference (a line in the manifest)")
}

// parseDedupe reads --dedupe.
func parseDedupe(c *cli.Context) (archive.Dedupe, error) {
	switch way := archive.Dedupe(c.String("dedupe")); way {
	case "", archive.DedupeOff:
		return archive.DedupeOff, nil
	case archive.DedupeHardlink, archive.DedupeReference:
		return way, nil
	default:
		return "", usagef("--dedupe %q: want off, hardlink or reference", way)
	}
}

// openPool opens what --dedupe looks into; nil if it is off.
func openPool(ctx context.Context, c *cli.Context) (*archive.Pool, error) {
	way, err := parseDedupe(c)
	if err != nil || way == archive.DedupeOff {
		return nil, err
	}
	return archive.OpenPool(ctx, c.String("dir"), way, func(text string) { _, _ = fmt.Fprintf(c.App.ErrWriter, "haul: %s\n", text) })
}
