package main

import "github.com/urfave/cli/v2"

func sidecarFlag() cli.Flag {
	return stringFlag("sidecar", "", "json: write NAME.haul.json beside each file, with its message and its line of the manifest")
}

func thumbsFlag() cli.Flag {
	return boolFlag("thumbs", "also fetch the largest thumbnail of photos, videos and documents, as NAME.thumb.jpg")
}

func checkSidecar(c *cli.Context) error {
	if s := c.String("sidecar"); s != "" && s != "json" {
		return usagef("--sidecar %q: want json", s)
	}
	return nil
}
