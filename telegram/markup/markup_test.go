package markup

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/tghaul/haul/tl/api"
)

// show writes entities as text: "bold 0+4, link 5+2 https://x".
func show(entities []api.MessageEntityClass) string {
	var parts []string
	for _, e := range entities {
		v := reflect.ValueOf(e).Elem()
		name := strings.ToLower(strings.TrimPrefix(e.TypeName(), "messageEntity"))
		s := fmt.Sprintf("%s %d+%d", name, v.FieldByName("Offset").Int(), v.FieldByName("Length").Int())
		switch e := e.(type) {
		case *api.MessageEntityTextUrl:
			s += " " + e.URL
		case *api.MessageEntityPre:
			s += " " + e.Language
		case *api.MessageEntityBlockquote:
			if e.Collapsed {
				s += " folded"
			}
		}
		parts = append(parts, strings.TrimSpace(s))
	}
	return strings.Join(parts, ", ")
}

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		mode Mode
		text string
		want string // plain
		ents string
	}{
		{None, " **a** <b> ", "**a** <b>", ""},
		{Markdown, "plain", "plain", ""},
		{Markdown, "**bold** __it__ ~~st~~ ||sp|| `co`", "bold it st sp co", "bold 0+4, italic 5+2, strike 8+2, spoiler 11+2, code 14+2"},
		{Markdown, "a **b __c__ d**", "a b c d", "bold 2+5, italic 4+1"},
		{Markdown, "\U0001f600 **\U0001f600\U0001f600** x", "\U0001f600 \U0001f600\U0001f600 x", "bold 3+4"},
		{Markdown, "[a **b**](https://e.org/x_\\)y)", "a b", "texturl 0+3 https://e.org/x_)y, bold 2+1"},
		{Markdown, "```go\nfunc **x**\n```", "func **x**", "pre 0+10 go"},
		{Markdown, "```one line```", "one line", "pre 0+8"},
		{Markdown, `\*\*a\*\* \_ \\ c:\dir`, `**a** _ \ c:\dir`, ""},
		{Markdown, "`a\\`b`", "a`b", "code 0+3"},
		{Markdown, " **\n a ** ", "a", "bold 0+1"},
		{Markdown, "2*3*4 a_b_c ~ | ]", "2*3*4 a_b_c ~ | ]", ""},
		{HTML, "<b>a <i>b</i></b> &lt;&amp;&#x1F600;&gt;", "a b <&\U0001f600>", "bold 0+3, italic 2+1"},
		{HTML, `<a href="https://e.org/?a=1&amp;b=2">x</a>`, "x", "texturl 0+1 https://e.org/?a=1&b=2"},
		{HTML, `<pre><code class="language-go">x</code></pre> <code>y</code>`, "x y", "pre 0+1 go, code 2+1"},
		{HTML, `<blockquote expandable>q</blockquote><span class='tg-spoiler'>s</span><U>u</U><del>d</del>`, "qsud", "blockquote 0+1 folded, spoiler 1+1, underline 2+1, strike 3+1"},
		{HTML, "a > b, <b></b>c", "a > b, c", ""},
		{Markdown, "bad \xff **x**", "bad \ufffd x", "bold 6+1"},
	} {
		plain, entities, err := tt.mode.Parse(tt.text)
		if err != nil || plain != tt.want || show(entities) != tt.ents {
			t.Errorf("%q: %q, %s, %v\nwant %q, %s", tt.text, plain, show(entities), err, tt.want, tt.ents)
		}
	}
}

func TestErrors(t *testing.T) {
	for _, tt := range []struct {
		mode Mode
		text string
		want string
	}{
		{Markdown, "a\nb **c", "line 2, character 3: this is never closed: ** is missing"},
		{Markdown, "**a __b** c__", "line 1, character 8: ** is closed here, and __, which was opened after it, is not"},
		{Markdown, "\U0001f600 ****", "line 1, character 5: there is nothing between"},
		{Markdown, "`a", "line 1, character 1: this is never closed: ` is missing"},
		{Markdown, "[a] b", "line 1, character 3: ] without (URL)"},
		{Markdown, "[a](javascript:alert(1))", `line 1, character 5: "javascript:alert(1" is no address`},
		{Markdown, "[a](", "line 1, character 3: this is never closed: ) is missing"},
		{Markdown, strings.Repeat("**a** ", 101), "line 1, character 1: it has 101 formatted places"},
		{HTML, "<b>a", "line 1, character 1: this is never closed: </b> is missing"},
		{HTML, "<b>a</i>", "line 1, character 5: </i> closes nothing"},
		{HTML, "a < b", "line 1, character 3: < that begins no tag"},
		{HTML, "a & b", "line 1, character 3: & that begins no"},
		{HTML, "<h1>a</h1>", "line 1, character 1: Telegram knows no <h1>"},
		{HTML, "<a>x</a>", `line 1, character 1: "" is no address`},
		{HTML, strings.Repeat("<b>", 20), "formatting stands 17 deep"},
	} {
		_, _, err := tt.mode.Parse(tt.text)
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %q", tt.text, err, tt.want)
		}
	}
	if _, err := ParseMode("markdow"); err == nil {
		t.Error("a mode that is none")
	}
}

func TestLen(t *testing.T) {
	if n := Len("a\U0001f600\u00e9"); n != 4 {
		t.Errorf("%d units, want 4", n)
	}
}

// checkEntities wants what dctest, and Telegram, want.
func checkEntities(t *testing.T, plain string, entities []api.MessageEntityClass) {
	t.Helper()
	u := utf16.Encode([]rune(plain))
	low := func(at int) bool { return at < len(u) && u[at] >= 0xdc00 && u[at] <= 0xdfff }
	var spans [][2]int
	for _, e := range entities {
		v := reflect.ValueOf(e).Elem()
		from := int(v.FieldByName("Offset").Int())
		to := from + int(v.FieldByName("Length").Int())
		if from < 0 || to <= from || to > len(u) || low(from) || low(to) {
			t.Errorf("%s in %q", show(entities), plain)
			return
		}
		for _, s := range spans {
			if from < s[1] && to > s[1] || from < s[0] {
				t.Errorf("%s overlap", show(entities))
			}
		}
		spans = append(spans, [2]int{from, to})
	}
	if !utf8.ValidString(plain) || plain != strings.TrimFunc(plain, unicode.IsSpace) {
		t.Errorf("plain text %q", plain)
	}
}

// FuzzParse: whatever is read fits, and what is escaped is only text.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"**a __b__ `c`** [d](https://e.f)", "```go\nx\n```", "||~~\U0001f600~~||", `\**\`, "<b>a<i>b</i></b>", `<a href="http://x.y">&amp;&#128512;</a>`,
		"<pre><code class='language-x'>y</code></pre>", "<blockquote expandable> \n q </blockquote>", "]( [](", "&#0;",
	} {
		f.Add(s, "name_**x**</b>`&[.jpg")
	}
	f.Fuzz(func(t *testing.T, text, name string) {
		for _, m := range []Mode{None, Markdown, HTML} {
			if plain, entities, err := m.Parse(text); err == nil {
				checkEntities(t, plain, entities)
			}
			want := strings.TrimFunc(strings.ToValidUTF8(name, "\ufffd"), unicode.IsSpace)
			if plain, entities, err := m.Parse(m.Escape(name)); err != nil || plain != want || len(entities) != 0 {
				t.Errorf("%q escaped: %q, %s, %v", name, plain, show(entities), err)
			}
			if m == None || want == "" {
				continue
			}
			in := map[Mode][2]string{Markdown: {"x**a", "b**y"}, HTML: {"x<b>a", "b</b>y"}}[m]
			plain, entities, err := m.Parse(in[0] + m.Escape(name) + in[1])
			if err != nil || len(entities) != 1 || plain != "xa"+strings.ToValidUTF8(name, "\ufffd")+"by" {
				t.Errorf("%q in the middle: %q, %s, %v", name, plain, show(entities), err)
			}
		}
	})
}
