package markup

import "strings"

// marks are those that open and close alike.
var marks = []struct {
	mark  string
	style style
}{{"**", bold}, {"__", italic}, {"~~", strike}, {"||", spoiler}}

func (p *parser) markdown() error {
	for p.at < len(p.text) {
		rest := p.text[p.at:]
		var err error
		switch c := rest[0]; {
		case c == '\\':
			p.escaped(rest)
		case c == '`':
			err = p.code(rest)
		case c == '[':
			err = p.begin(span{style: link, at: p.at, mark: "](URL)"})
			p.at++
		case c == ']' && p.inLink():
			err = p.linkEnd(rest)
		default:
			err = p.toggle(rest)
		}
		if err != nil {
			return err
		}
	}
	return p.ended()
}

// escaped takes a backslash with what it makes text.
func (p *parser) escaped(rest string) {
	if len(rest) > 1 && isPunct(rune(rest[1])) {
		p.write(rest[1:2])
		p.at += 2
		return
	}
	p.write(`\`)
	p.at++
}

// toggle takes a mark, or else a byte of text.
func (p *parser) toggle(rest string) error {
	for _, m := range marks {
		if !strings.HasPrefix(rest, m.mark) {
			continue
		}
		at := p.at
		p.at += len(m.mark)
		for i, o := range p.open {
			if o.mark != m.mark {
				continue
			}
			if inner := p.open[len(p.open)-1]; i < len(p.open)-1 {
				return p.wrong(at, "%s is closed here, and %s, which was opened after it, is not", m.mark, inner.mark)
			}
			return p.closed(at)
		}
		return p.begin(span{style: m.style, at: at, mark: m.mark})
	}
	p.write(rest[:1])
	p.at++
	return nil
}

// closed closes the innermost span, which must have something in it.
func (p *parser) closed(at int) error {
	if s := p.end(); s.from == s.to {
		return p.wrong(at, "there is nothing between this and the %s before it; \\ before a character makes it text", s.mark)
	}
	return nil
}

// code takes everything up to the same number of backquotes.
func (p *parser) code(rest string) error {
	mark, s := "`", span{style: code, at: p.at}
	if strings.HasPrefix(rest, "```") {
		mark, s.style = "```", pre
	}
	s.mark = mark
	body := rest[len(mark):]
	text, length, ok := until(body, mark)
	if !ok {
		return p.wrong(p.at, "this is never closed: %s is missing", mark)
	}
	p.at += 2*len(mark) + length
	if s.style == pre {
		if first, more, lines := strings.Cut(text, "\n"); lines {
			if !strings.ContainsAny(first, " \t`") { // the language
				s.arg = first
			} else {
				more = text
			}
			text = strings.TrimSuffix(more, "\n")
		}
	}
	if err := p.begin(s); err != nil {
		return err
	}
	p.write(text)
	return p.closed(s.at)
}

// until is the text before a mark, without the backslashes, and how many bytes
// it takes in the source.
func until(s, mark string) (text string, length int, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s) && isPunct(rune(s[i+1])):
			i++
			b.WriteByte(s[i])
		case strings.HasPrefix(s[i:], mark):
			return b.String(), i, true
		default:
			b.WriteByte(s[i])
		}
	}
	return "", 0, false
}

func (p *parser) inLink() bool {
	for _, o := range p.open {
		if o.style == link {
			return true
		}
	}
	return false
}

// linkEnd takes ](URL).
func (p *parser) linkEnd(rest string) error {
	at := p.at
	if inner := p.open[len(p.open)-1]; inner.style != link {
		return p.wrong(at, "[ is closed here, and %s, which was opened after it, is not", inner.mark)
	}
	if !strings.HasPrefix(rest, "](") {
		return p.wrong(at, "] without (URL) after it; \\[ and \\] are brackets")
	}
	url, length, ok := until(rest[2:], ")")
	if !ok {
		return p.wrong(at, "this is never closed: ) is missing")
	}
	if err := p.checkURL(at+2, url); err != nil {
		return err
	}
	p.at += 2 + length + 1
	p.open[len(p.open)-1].arg = url
	return p.closed(at)
}
