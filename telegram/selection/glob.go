package selection

import (
	"fmt"
	"path"
	"strings"
)

// Globs are patterns of names.
type Globs []string

const (
	maxGlobs = 1000 // after braces were written out
	maxGlob  = 1000 // bytes of a pattern
)

// ParseGlobs reads patterns: "*.jpg,*.png" or "*.{jpg,png}". In a pattern *
// stands for any characters, ? for one, [a-z] for one of several, {a,b} for one
// of several texts, and \ takes its meaning from the next. Upper and lower case
// are the same.
func ParseGlobs(text string) (Globs, error) {
	var globs Globs
	for _, pattern := range split(text) {
		if pattern = strings.TrimSpace(pattern); pattern == "" {
			continue
		}
		written, err := braces(pattern)
		if err == nil && len(globs)+len(written) > maxGlobs {
			err = fmt.Errorf("more than %d patterns", maxGlobs)
		}
		if err != nil {
			return nil, fmt.Errorf("pattern %q: %w", clip(pattern), err)
		}
		for _, g := range written {
			g = plain(g)
			if _, err := path.Match(g, ""); err != nil || len(g) > maxGlob {
				return nil, fmt.Errorf("pattern %q makes no sense", clip(pattern))
			}
			globs = append(globs, g)
		}
	}
	return globs, nil
}

// Match reports whether a name is as one of the patterns.
func (g Globs) Match(name string) bool {
	name = plain(name)
	for _, pattern := range g {
		if ok, _ := path.Match(pattern, name); ok { // was checked
			return true
		}
	}
	return false
}

// plain takes away what patterns do not regard: case, and that a slash, which
// names of strangers may have, is a separator.
func plain(s string) string {
	return strings.ReplaceAll(strings.ToLower(s), "/", "\x1f")
}

// split cuts at the commas that are in no braces or brackets.
func split(text string) (parts []string) {
	depth, start := 0, 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\':
			i++
		case c == '{' || c == '[':
			depth++
		case (c == '}' || c == ']') && depth > 0:
			depth--
		case c == ',' && depth == 0:
			parts = append(parts, text[start:i])
			start = i + 1
		}
	}
	return append(parts, text[start:])
}

// braces writes out {a,b}: each pattern that it stands for. Braces do not nest.
func braces(pattern string) ([]string, error) {
	written := []string{""}
	for pattern != "" {
		open := unescaped(pattern, '{')
		if open < 0 {
			open = len(pattern)
		}
		words := []string{pattern[:open]}
		rest := ""
		if open < len(pattern) {
			length := unescaped(pattern[open:], '}')
			if length < 0 || unescaped(pattern[open+1:open+length], '{') >= 0 {
				return nil, fmt.Errorf("a { without its }, or one in another")
			}
			words = split(pattern[open+1 : open+length])
			for i, w := range words {
				words[i] = pattern[:open] + w
			}
			rest = pattern[open+length+1:]
		}
		if len(written)*len(words) > maxGlobs {
			return nil, fmt.Errorf("it stands for more than %d", maxGlobs)
		}
		var longer []string
		for _, head := range written {
			for _, w := range words {
				longer = append(longer, head+w)
			}
		}
		written, pattern = longer, rest
	}
	return written, nil
}

// unescaped is where a character stands without a \ before it; -1 if nowhere.
func unescaped(s string, c byte) int {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case c:
			return i
		}
	}
	return -1
}
