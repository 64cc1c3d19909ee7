package gallery

import (
	"bytes"
	"context"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"os"
	"strings"

	"github.com/tghaul/haul/transfer/archive"
)

const (
	pageName = "index.html"
	// chunkItems is how many items one data file holds: some 300 KB, which a
	// browser reads in a few milliseconds. Old chunks stay as they are when new
	// messages come, since items are in order of date.
	chunkItems = 1000
)

// The page's own files. Scripts run in the order of scripts: they are plain
// ones, since browsers load no modules from a disk.
var (
	//go:embed page
	assets  embed.FS
	scripts = []string{"base.js", "data.js", "layout.js", "tile.js", "grid.js", "player.js", "viewer.js", "main.js"}
	index   = template.Must(template.ParseFS(assets, "page/index.html"))
)

// A contents is what the page reads first: all but the items themselves.
type contents struct {
	Chats  []chat  `json:"chats"`
	Items  int     `json:"items"`
	Chunks []chunk `json:"chunks"` // oldest items first
	// Frame and FrameEnd are what is put around a stripped thumbnail, base64.
	Frame    []byte `json:"frame"`
	FrameEnd []byte `json:"frameEnd"`
}

// A chunk names the files with some of the items.
type chunk struct {
	Items  int    `json:"n"`
	File   string `json:"file"`
	Thumbs string `json:"thumbs,omitempty"` // read when they are needed; "" if there are none
}

// writePage writes the gallery's folder.
func writePage(ctx context.Context, base *os.Root, chats []chat, items []*item) error {
	f, err := openFolder(base, archive.GalleryName)
	if err != nil {
		return err
	}
	defer f.close()
	all := contents{Chats: chats, Items: len(items), Frame: strippedHead, FrameEnd: strippedEnd}
	for n := 0; n*chunkItems < len(items); n++ {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c, err := writeChunk(f, n, items[n*chunkItems:min(len(items), (n+1)*chunkItems)])
		if err != nil {
			return err
		}
		all.Chunks = append(all.Chunks, c)
	}
	var page struct {
		Style   string
		Scripts []string
	}
	if page.Style, err = f.addAsset("style.css"); err != nil {
		return err
	}
	for i, name := range scripts {
		if i == len(scripts)-1 { // the last one needs the contents
			file, err := f.addCall("contents", all)
			if err != nil {
				return err
			}
			page.Scripts = append(page.Scripts, file)
		}
		file, err := f.addAsset(name)
		if err != nil {
			return err
		}
		page.Scripts = append(page.Scripts, file)
	}
	var b bytes.Buffer
	if err := index.Execute(&b, page); err != nil {
		return err
	}
	if err := f.replace(pageName, b.Bytes()); err != nil {
		return err
	}
	return f.sweep()
}

// writeChunk writes chunk n: its items, and apart from them their thumbnails.
func writeChunk(f *folder, n int, items []*item) (c chunk, err error) {
	thumbs := make([]string, len(items))
	some := false
	for i, it := range items {
		thumbs[i] = base64.StdEncoding.EncodeToString(it.thumb)
		some = some || len(it.thumb) > 0
	}
	c.Items = len(items)
	if c.File, err = f.addCall("items", n, items); err == nil && some {
		c.Thumbs, err = f.addCall("thumbs", n, thumbs)
	}
	return c, err
}

// addAsset adds one of the page's own files.
func (f *folder) addAsset(name string) (string, error) {
	data, err := assets.ReadFile("page/" + name)
	if err != nil {
		return "", err
	}
	return f.add(name[strings.LastIndexByte(name, '.'):], data)
}

// addCall adds a script that calls a function of the page. JSON with <, > and &
// escaped, as encoding/json makes it, is JavaScript and nothing else, in a file
// of its own or not.
func (f *folder) addCall(function string, args ...any) (string, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "haul.%s(", function)
	for i, a := range args {
		if i > 0 {
			b.WriteString(", ")
		}
		data, err := json.Marshal(a)
		if err != nil {
			return "", err
		}
		b.Write(data)
	}
	b.WriteString(");\n")
	return f.add(".js", b.Bytes())
}
