package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/tghaul/haul/transfer"
	"github.com/tghaul/haul/transfer/archive/gallery"
)

func galleryCommand() *cli.Command {
	return &cli.Command{
		Name: "gallery", Usage: "make a page of archives, to look at in a browser", ArgsUsage: "DIR", OnUsageError: usageError,
		Description: "Writes DIR/haul-gallery/index.html, a page of all the media in and below DIR, with search, filters and\n" +
			"playback. It needs neither account nor network, and a browser opens it from the disk. The page links to the\n" +
			"files of the archives, so that the folder is moved and copied as a whole. Run it again after archiving.\n\n" +
			"Example:\n   haul gallery out",
		Action: makeGallery,
	}
}

// A galleryDone is what haul gallery --json prints.
type galleryDone struct {
	transfer.Header
	Page     string `json:"page"`
	Archives int    `json:"archives"`
	Items    int    `json:"items"`
	Bytes    int64  `json:"bytes"`
	Missing  int    `json:"files_missing"`
	BadLines int    `json:"lines_bad"`
}

func makeGallery(c *cli.Context) error {
	if c.NArg() != 1 {
		return usagef("which folder? haul gallery DIR")
	}
	if err := applyCommandConfig(c); err != nil {
		return err
	}
	res, err := gallery.Write(c.Context, c.Args().First())
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return json.NewEncoder(c.App.Writer).Encode(galleryDone{
			Header: transfer.Header{Event: "gallery_done", Time: time.Now()}, Page: res.Page, Archives: res.Archives,
			Items: res.Items, Bytes: res.Bytes, Missing: res.Missing, BadLines: res.BadLines,
		})
	}
	if res.Missing > 0 || res.BadLines > 0 {
		_, _ = fmt.Fprintf(c.App.ErrWriter, "haul: left out: %s not on disk, and %s of manifests that cannot be read; haul verify DIR names them\n",
			count(res.Missing, "file"), count(res.BadLines, "line"))
	}
	if !c.Bool("quiet") {
		_, _ = fmt.Fprintf(c.App.Writer, "%s (%s) of %s are in %s\n", count(res.Items, "file"), size(res.Bytes), count(res.Archives, "archive"), res.Page)
	}
	return nil
}
