// Package markup reads texts with formatting, in Markdown or HTML, into what
// Telegram wants: a plain text, and entities that say where in it is what.
//
// See core.telegram.org/api/entities.
package markup

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/tghaul/haul/tl/api"
)

// A Mode is a way to write formatting.
type Mode uint8

// The modes.
const (
	// None: the text is as it is.
	None Mode = iota
	// Markdown is that of Telegram's apps:
	//
	//	**bold** __italic__ ~~strikethrough~~ ||spoiler|| `code` [text](URL)
	//	```language
	//	several lines of code
	//	```
	//
	// They may stand within each other, but for code, in which everything else is
	// text. A backslash before a punctuation character makes it one, in code and
	// addresses too. Whatever is opened must be closed, in reverse order.
	Markdown
	// HTML is that of the Bot API: b strong i em u ins s strike del code
	// pre blockquote tg-spoiler span class="tg-spoiler" a href="URL", with
	// pre around code class="language-NAME" for a language and blockquote
	// expandable for one that is folded. & < and > that are none of it are
	// written &amp; &lt; and &gt;; &quot; &apos; and numbers are known too.
	HTML
)

// ParseMode reads the name of a mode.
func ParseMode(name string) (Mode, error) {
	switch strings.ToLower(name) {
	case "", "none":
		return None, nil
	case "markdown", "md":
		return Markdown, nil
	case "html":
		return HTML, nil
	}
	return None, fmt.Errorf("%q is no way to write formatting: markdown, html or none", name)
}

// An Error is a text that cannot be read.
type Error struct {
	Line, Column int // of the character, from 1
	Text         string
}

func (e *Error) Error() string {
	return fmt.Sprintf("line %d, character %d: %s", e.Line, e.Column, e.Text)
}

// maxEntities is how many entities a text may have: the server ignores those
// beyond. maxDepth is how deep they may stand within each other.
const (
	maxEntities = 100
	maxDepth    = 16
)

// Parse reads a text. Blanks around the whole are left out, as the server does
// it. Entities come in order, the outer before the inner; they are in bounds, in
// UTF-16 units, and never overlap without one being within the other.
//
// An error is an *Error.
func (m Mode) Parse(text string) (plain string, entities []api.MessageEntityClass, err error) {
	p := &parser{text: strings.ToValidUTF8(text, "\ufffd")}
	switch m {
	case Markdown:
		err = p.markdown()
	case HTML:
		err = p.html()
	case None:
		p.write(p.text)
	}
	if err != nil {
		return "", nil, err
	}
	plain, spans := p.trimmed()
	if len(spans) > maxEntities {
		return "", nil, p.wrong(0, "it has %d formatted places; Telegram takes %d", len(spans), maxEntities)
	}
	for _, s := range spans {
		entities = append(entities, s.entity())
	}
	return plain, entities, nil
}

// Escape writes a text so that Parse makes that text of it again, wherever in a
// text it is put: nothing in it is formatting.
func (m Mode) Escape(text string) string {
	text = strings.ToValidUTF8(text, "\ufffd")
	switch m {
	case Markdown:
		var b strings.Builder
		for _, r := range text {
			if isPunct(r) {
				b.WriteByte('\\')
			}
			b.WriteRune(r)
		}
		return b.String()
	case HTML:
		return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#39;").Replace(text)
	default:
		return text
	}
}

// isPunct reports whether a backslash makes the character text: the
// punctuation of ASCII.
func isPunct(r rune) bool {
	return r < 0x80 && strings.ContainsRune("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", r)
}

// Len is the length of a text as Telegram counts it, in UTF-16 units.
func Len(text string) (n int) {
	for _, r := range text {
		n += max(1, utf16.RuneLen(r))
	}
	return n
}

// A style is what an entity makes of its text.
type style uint8

const (
	bold style = iota
	italic
	underline
	strike
	spoiler
	code
	pre
	quote
	link
)

// A span is an entity. Offsets are in bytes of the plain text.
type span struct {
	style    style
	from, to int
	arg      string // language of pre, address of link
	folded   bool   // of quote
	at       int    // in the source, where it begins
	mark     string // what closes it

	offset, length int32 // UTF-16 units
}

func (s *span) entity() api.MessageEntityClass {
	o, l := s.offset, s.length
	return [...]func() api.MessageEntityClass{
		bold:      func() api.MessageEntityClass { return &api.MessageEntityBold{Offset: o, Length: l} },
		italic:    func() api.MessageEntityClass { return &api.MessageEntityItalic{Offset: o, Length: l} },
		underline: func() api.MessageEntityClass { return &api.MessageEntityUnderline{Offset: o, Length: l} },
		strike:    func() api.MessageEntityClass { return &api.MessageEntityStrike{Offset: o, Length: l} },
		spoiler:   func() api.MessageEntityClass { return &api.MessageEntitySpoiler{Offset: o, Length: l} },
		code:      func() api.MessageEntityClass { return &api.MessageEntityCode{Offset: o, Length: l} },
		pre:       func() api.MessageEntityClass { return &api.MessageEntityPre{Offset: o, Length: l, Language: s.arg} },
		quote: func() api.MessageEntityClass {
			return &api.MessageEntityBlockquote{Offset: o, Length: l, Collapsed: s.folded}
		},
		link: func() api.MessageEntityClass { return &api.MessageEntityTextUrl{Offset: o, Length: l, URL: s.arg} },
	}[s.style]()
}

// A parser is one text being read.
type parser struct {
	text  string
	at    int // in text
	plain strings.Builder
	open  []span // the innermost last
	done  []span
}

func (p *parser) write(s string) { p.plain.WriteString(s) }

// wrong is an error about a place of the source.
func (p *parser) wrong(at int, format string, args ...any) error {
	before := p.text[:at]
	line := strings.Count(before, "\n")
	if line > 0 {
		before = before[strings.LastIndexByte(before, '\n')+1:]
	}
	return &Error{Line: line + 1, Column: utf8.RuneCountInString(before) + 1, Text: fmt.Sprintf(format, args...)}
}

// begin opens a span.
func (p *parser) begin(s span) error {
	if len(p.open) >= maxDepth {
		return p.wrong(s.at, "formatting stands %d deep", len(p.open)+1)
	}
	s.from = p.plain.Len()
	p.open = append(p.open, s)
	return nil
}

// end closes the innermost span.
func (p *parser) end() *span {
	last := len(p.open) - 1
	s := p.open[last]
	p.open = p.open[:last]
	s.to = p.plain.Len()
	p.done = append(p.done, s)
	return &p.done[len(p.done)-1]
}

// ended fails if something is open at the end.
func (p *parser) ended() error {
	if len(p.open) == 0 {
		return nil
	}
	s := p.open[len(p.open)-1]
	return p.wrong(s.at, "this is never closed: %s is missing", s.mark)
}

// trimmed is the plain text without blanks around it, and the spans in it, in
// order, with their places in UTF-16 units.
func (p *parser) trimmed() (string, []span) {
	whole := p.plain.String()
	text := strings.TrimRightFunc(whole, unicode.IsSpace)
	end := len(text)
	text = strings.TrimLeftFunc(text, unicode.IsSpace)
	start := end - len(text)
	var list []span
	for _, s := range p.done {
		s.from, s.to = max(s.from, start)-start, min(s.to, end)-start
		if s.from < s.to {
			s.offset, s.length = int32(Len(text[:s.from])), int32(Len(text[s.from:s.to]))
			list = append(list, s)
		}
	}
	slices.SortStableFunc(list, func(a, b span) int {
		return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(b.to, a.to), cmp.Compare(a.at, b.at))
	})
	return text, list
}

// checkURL refuses addresses that Telegram would not take.
func (p *parser) checkURL(at int, url string) error {
	rest, known := url, false
	for _, scheme := range []string{"http://", "https://", "tg://", "mailto:", "tel:", "ton://"} {
		if len(url) >= len(scheme) && strings.EqualFold(url[:len(scheme)], scheme) {
			rest, known = url[len(scheme):], true
		}
	}
	bad := func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }
	if rest == "" || strings.ContainsFunc(url, bad) || !known && (!strings.Contains(rest, ".") || strings.Contains(rest, ":")) {
		return p.wrong(at, "%q is no address of a page: https://…", url)
	}
	return nil
}
