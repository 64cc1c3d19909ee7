package main

import (
	"fmt"
	"path"
	"regexp"
	"strings"
	"text/template"
	"text/template/parse"
	"time"

	"github.com/tghaul/haul/telegram/markup"
)

// A caption is what --caption asks for: a text, or a template of one, which may
// have formatting in it.
type caption struct {
	text string
	tmpl *template.Template // nil: the text as it is
	mode markup.Mode
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

// noField is how templates say that something is unknown.
var noField = regexp.MustCompile(`can't evaluate field (\w+) in type`)

// parseCaption tries the caption out, so that nothing is sent with a wrong one.
func parseCaption(text string, mode markup.Mode) (*caption, error) {
	c := &caption{text: text, mode: mode}
	if strings.Contains(text, "{{") {
		var err error
		if c.tmpl, err = captionTemplate(text, mode); err != nil {
			return nil, usagef("--caption: %w", err)
		}
	}
	sample, err := c.of(source{path: "a/b.c", rel: "a/b.c"})
	if err != nil {
		if m := noField.FindStringSubmatch(err.Error()); m != nil {
			return nil, usagef("--caption: files have no .%s; haul help up lists what they have", m[1])
		}
		return nil, &usageErr{error: err}
	}
	if _, _, err := mode.Parse(sample); err != nil {
		return nil, usagef("--caption: %w\n%s", err, sample)
	}
	return c, nil
}

// escape is the name of the function through which all goes that a template
// puts in.
const escape = "_escape"

// captionTemplate reads a template. Whatever its actions put in is text: names
// of files come from strangers, and must not be taken for formatting.
func captionTemplate(text string, mode markup.Mode) (*template.Template, error) {
	t, err := template.New("caption").Option("missingkey=error").Funcs(template.FuncMap{
		"size": size, escape: func(v any) string { return mode.Escape(fmt.Sprint(v)) },
	}).Parse(text)
	if err != nil || mode == markup.None {
		return t, err
	}
	for _, part := range t.Templates() {
		if part.Tree != nil {
			escapeActions(part.Root)
		}
	}
	return t, nil
}

// escapeActions has each action of a list escaped that puts something in.
func escapeActions(list *parse.ListNode) {
	if list == nil {
		return
	}
	for _, n := range list.Nodes {
		switch n := n.(type) {
		case *parse.ActionNode:
			if len(n.Pipe.Decl) == 0 {
				n.Pipe.Cmds = append(n.Pipe.Cmds, &parse.CommandNode{
					NodeType: parse.NodeCommand, Args: []parse.Node{parse.NewIdentifier(escape).SetPos(n.Pos)},
				})
			}
		case *parse.IfNode:
			escapeActions(n.List)
			escapeActions(n.ElseList)
		case *parse.RangeNode:
			escapeActions(n.List)
			escapeActions(n.ElseList)
		case *parse.WithNode:
			escapeActions(n.List)
			escapeActions(n.ElseList)
		}
	}
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
