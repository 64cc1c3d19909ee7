package layout

import (
	"errors"
	"fmt"
	"strings"
	"text/template"
	"time"
	"unicode"
	"unicode/utf8"
)

// functions are those of tdl, which people know, and size as in captions. They
// see a stranger's slash as foreignSlash and have to treat both alike.
func (t *Template) functions() template.FuncMap {
	return template.FuncMap{
		"size":       size,
		"repeat":     repeat,
		"replace":    replace,
		"upper":      strings.ToUpper,
		"lower":      strings.ToLower,
		"snakecase":  func(s string) string { return joinWords(s, "_", strings.ToLower) },
		"kebabcase":  func(s string) string { return joinWords(s, "-", strings.ToLower) },
		"camelcase":  func(s string) string { return joinWords(s, "", title) },
		"filenamify": filenamify,
		"formatDate": formatDate,
		"now":        func() int64 { return t.now.Unix() },
		"rand":       t.random,
	}
}

func repeat(s string, n int) (string, error) {
	if n < 0 || n > maxText || len(s)*n > maxText {
		return "", fmt.Errorf("%d times is too often", n)
	}
	return strings.Repeat(s, n), nil
}

func replace(s string, pairs ...string) (string, error) {
	if len(pairs)%2 != 0 {
		return "", errors.New("wants pairs of texts, old and new")
	}
	all := make([]string, 0, 2*len(pairs))
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, pairs[i], pairs[i+1])
		if foreign := own(pairs[i]); foreign != pairs[i] {
			all = append(all, foreign, pairs[i+1])
		}
	}
	out := strings.NewReplacer(all...).Replace(s)
	if len(out) > maxText {
		return "", fmt.Errorf("more than %d bytes of text", maxText)
	}
	return out, nil
}

// filenamify replaces what file names cannot have by "!". A number behind it
// bounds the characters.
func filenamify(s string, limit ...int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || strings.ContainsRune(`<>:"/\|?*`+foreignSlash, r) {
			return '!'
		}
		return r
	}, s)
	if len(limit) > 0 && limit[0] >= 0 && utf8.RuneCountInString(s) > limit[0] {
		s = string([]rune(s)[:limit[0]])
	}
	return strings.Trim(s, ". ")
}

// formatDate formats a moment, or Unix time, as 20060102150405 or otherwise.
func formatDate(moment any, format ...string) (string, error) {
	var at time.Time
	switch m := moment.(type) {
	case time.Time:
		at = m
	case int64:
		at = time.Unix(m, 0)
	case int:
		at = time.Unix(int64(m), 0)
	default:
		return "", fmt.Errorf("%v is no date", moment)
	}
	switch len(format) {
	case 0:
		return at.UTC().Format("20060102150405"), nil
	case 1:
		return at.UTC().Format(format[0]), nil
	default:
		return "", errors.New("wants a date and at most one format")
	}
}

// random is a number from low on and below high. A file always has the same one.
func (t *Template) random(low, high int) (int, error) {
	if high <= low {
		return 0, fmt.Errorf("nothing is between %d and %d", low, high)
	}
	return low + int(t.file%uint64(high-low)), nil
}

func title(word string) string {
	r, n := utf8.DecodeRuneInString(word)
	return string(unicode.ToUpper(r)) + word[n:]
}

// joinWords takes a text apart into words, at whatever is neither letter nor
// digit and where a small letter is followed by a great one, and joins them.
// Dots stay, since names have extensions.
func joinWords(s, with string, form func(string) string) string {
	var words []string
	word, small := "", false
	end := func() {
		if word != "" {
			words = append(words, form(word))
		}
		word = ""
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '.' || r == '/' || string(r) == foreignSlash:
			end()
			b.WriteString(strings.Join(words, with))
			b.WriteRune(r)
			words = nil
		case !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r):
			end()
		default:
			if small && unicode.IsUpper(r) {
				end()
			}
			word += string(r)
		}
		small = unicode.IsLower(r) || unicode.IsDigit(r)
	}
	end()
	return b.String() + strings.Join(words, with)
}
