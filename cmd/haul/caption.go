package main

import (
	"fmt"
	"path"
	"strings"
	"text/template"
	"time"
)

// A caption is what --caption asks for: a text, or a template of one.
type caption struct {
	text string
	tmpl *template.Template // nil: the text as it is
}

// captionOf is what a template knows of a file. README.md and haul help up name
// the fields.
type captionOf struct {
	Name, Stem, Ext string
	Path, Dir       string // with slashes; Dir is empty for a file that was named itself
	Size            int64
	Date            time.Time
}

// captionSize is the length, in bytes, at which a template is stopped: no
// caption is that long.
const captionSize = 1 << 16

// parseCaption tries a template out, so that nothing is sent with a wrong one.
func parseCaption(text string) (*caption, error) {
	if !strings.Contains(text, "{{") {
		return &caption{text: text}, nil
	}
	t, err := template.New("caption").Option("missingkey=error").Funcs(template.FuncMap{"size": size}).Parse(text)
	if err != nil {
		return nil, usagef("--caption: %w", err)
	}
	c := &caption{tmpl: t}
	if _, err := c.of(source{path: "a/b.c", rel: "a/b.c"}); err != nil {
		return nil, &usageErr{err}
	}
	return c, nil
}

// of is the caption of a file.
func (c *caption) of(s source) (string, error) {
	if c.tmpl == nil {
		return c.text, nil
	}
	name := path.Base(s.rel)
	of := captionOf{Name: name, Ext: path.Ext(name), Path: s.rel, Dir: path.Dir(s.rel)}
	of.Stem = strings.TrimSuffix(name, of.Ext)
	if of.Dir == "." {
		of.Dir = ""
	}
	if s.info != nil {
		of.Size, of.Date = s.info.Size(), s.info.ModTime()
	}
	var out limitedText
	if err := c.tmpl.Execute(&out, of); err != nil {
		return "", fmt.Errorf("--caption: %w", err)
	}
	return strings.TrimSpace(out.String()), nil
}

// limitedText is a text that does not grow without end.
type limitedText struct{ strings.Builder }

func (l *limitedText) Write(b []byte) (int, error) {
	if l.Len()+len(b) > captionSize {
		return 0, fmt.Errorf("more than %d bytes of text", captionSize)
	}
	return l.Builder.Write(b)
}
