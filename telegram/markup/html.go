package markup

import (
	"html"
	"regexp"
	"strings"
)

// tags are those that need no attributes.
var tags = map[string]style{
	"b": bold, "strong": bold, "i": italic, "em": italic, "u": underline, "ins": underline,
	"s": strike, "strike": strike, "del": strike, "tg-spoiler": spoiler, "span": spoiler,
	"code": code, "pre": pre, "blockquote": quote, "a": link,
}

var (
	tagPattern       = regexp.MustCompile(`^<(/?)([a-zA-Z][a-zA-Z0-9-]*)((?:\s+[a-zA-Z-]+(?:\s*=\s*(?:"[^"]*"|'[^']*'))?)*)\s*>`)
	attributePattern = regexp.MustCompile(`([a-zA-Z-]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'))?`)
	referencePattern = regexp.MustCompile(`^&(?:amp|lt|gt|quot|apos|#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6});`)
)

func (p *parser) html() error {
	for p.at < len(p.text) {
		rest := p.text[p.at:]
		switch next := strings.IndexAny(rest, "<&>"); {
		case next < 0:
			p.write(rest)
			p.at = len(p.text)
			continue
		case next > 0:
			p.write(rest[:next])
			p.at += next
			continue
		}
		var err error
		switch rest[0] {
		case '<':
			err = p.tag(rest)
		case '&':
			r := referencePattern.FindString(rest)
			if r == "" {
				return p.wrong(p.at, "& that begins no &amp; &lt; &gt; &quot; or number: write &amp;")
			}
			p.write(html.UnescapeString(r))
			p.at += len(r)
		default:
			p.write(">")
			p.at++
		}
		if err != nil {
			return err
		}
	}
	return p.ended()
}

// tag takes a tag.
func (p *parser) tag(rest string) error {
	m := tagPattern.FindStringSubmatch(rest)
	if m == nil {
		return p.wrong(p.at, "< that begins no tag: write &lt;")
	}
	name := strings.ToLower(m[2])
	kind, known := tags[name]
	if !known {
		return p.wrong(p.at, "Telegram knows no <%s>", name)
	}
	at := p.at
	p.at += len(m[0])
	mark := "</" + name + ">"
	if m[1] == "/" {
		if len(p.open) == 0 || p.open[len(p.open)-1].mark != mark {
			return p.wrong(at, "%s closes nothing that is open here", mark)
		}
		p.endTag()
		return nil
	}
	return p.beginTag(span{style: kind, at: at, mark: mark}, name, attributesOf(m[3]))
}

func attributesOf(text string) map[string]string {
	list := make(map[string]string)
	for _, a := range attributePattern.FindAllStringSubmatch(text, -1) {
		list[strings.ToLower(a[1])] = html.UnescapeString(a[2] + a[3])
	}
	return list
}

func (p *parser) beginTag(s span, name string, attributes map[string]string) error {
	switch name {
	case "a":
		if err := p.checkURL(s.at, attributes["href"]); err != nil {
			return err
		}
		s.arg = attributes["href"]
	case "span":
		if attributes["class"] != "tg-spoiler" {
			return p.wrong(s.at, `Telegram knows no <span> but <span class="tg-spoiler">`)
		}
	case "blockquote":
		_, s.folded = attributes["expandable"]
	case "code":
		s.arg = strings.TrimPrefix(attributes["class"], "language-")
	}
	return p.begin(s)
}

// endTag closes the innermost tag. Code that is all there is in pre tells the
// language of that, and is nothing of its own.
func (p *parser) endTag() {
	if last := len(p.open) - 1; p.open[last].style == code && last > 0 && p.open[last-1].style == pre && p.open[last-1].from == p.open[last].from {
		p.open[last-1].arg = p.open[last].arg
		p.open = p.open[:last]
		return
	}
	p.end()
}
