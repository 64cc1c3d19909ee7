package transfer

import (
	"crypto/sha256"
	"encoding/base32"
	"path"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName is the greatest length of a name in bytes. It leaves room for a
// suffix and ".part" below the 255 bytes that file systems take.
const maxName = 200

// Suffixes that no file of a stranger ever has, upper or lower case: what haul
// itself puts beside a file is called like that with one of them added. Each is
// at most 10 bytes, so that names stay below 255.
const (
	ThumbSuffix   = ".thumb.jpg" // its thumbnail
	SidecarSuffix = ".haul.json" // what is known of it
)

// Marks that follow a '%' and are no hexadecimal digits.
const (
	markEmpty = "%_" // the name is empty
	markCut   = "%~" // the name was cut; 13 characters of a hash follow
)

// SafeName makes a file name of what a stranger calls a file. The result is
// one path element that Linux, macOS and Windows all take for exactly that
// name: no separators, control or direction-changing characters, no reserved
// device names, no leading dot or blank, no trailing one, at most 200 bytes.
//
// What is not allowed becomes %XX, byte by byte, as in URLs; a '%' itself only
// where it could be mistaken for that. So ordinary names stay as they are, and
// different names stay different. UnescapeName is the way back, except for
// names that had to be cut, which contain a hash of the whole.
func SafeName(remote string) string { return safeName(remote, maxName, reserved) }

// safeName is SafeName with a bound of its own, at least 65 bytes. Names that
// begin as refuse says are not given.
func safeName(remote string, limit int, refuse func(string) bool) string {
	if remote == "" {
		return markEmpty
	}
	name := escape(remote, refuse)
	if len(name) > limit {
		return cut(name, remote, limit)
	}
	return name
}

// UnescapeName is the remote name that SafeName made a name of. It is false
// for a name that was cut.
func UnescapeName(name string) (string, bool) {
	if name == markEmpty {
		return "", true
	}
	if strings.Contains(name, markCut) {
		return "", false
	}
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if name[i] == '%' && i+2 < len(name) && isHex(name[i+1]) && isHex(name[i+2]) {
			v, _ := strconv.ParseUint(name[i+1:i+3], 16, 8) // two digits: cannot fail
			b.WriteByte(byte(v))
			i += 2
			continue
		}
		b.WriteByte(name[i])
	}
	return b.String(), true
}

const hexDigits = "0123456789ABCDEF"

func escape(s string, refuse func(string) bool) string {
	var b strings.Builder
	before := rune(0)
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		first, last := i == 0, i+n == len(s)
		switch {
		case r == joiner && before > unicode.MaxASCII && beginsForeign(s[i+n:]):
			b.WriteRune(r)
		case r == utf8.RuneError && n == 1, // not UTF-8
			forbidden(r),
			r == '%' && looksEscaped(s[i+1:]),
			(first || last) && (r == '.' || unicode.IsSpace(r)),
			r == '.' && isOwnSuffix(s[i:]),
			first && refuse(s):
			for _, c := range []byte(s[i : i+n]) {
				b.Write([]byte{'%', hexDigits[c>>4], hexDigits[c&15]})
			}
		default:
			b.WriteString(s[i : i+n])
		}
		before = r
		i += n
	}
	return b.String()
}

// joiner joins emoji, and letters of some scripts. Elsewhere it only hides, and
// some file systems do not look at it.
const joiner = '\u200d'

// beginsForeign reports whether a text begins with something that is not ASCII.
func beginsForeign(s string) bool { return s != "" && s[0] > unicode.MaxASCII }

func isOwnSuffix(s string) bool {
	return strings.EqualFold(s, partSuffix) || strings.EqualFold(s, ThumbSuffix) || strings.EqualFold(s, SidecarSuffix)
}

// forbidden reports characters that some system refuses, that cannot be seen,
// or that change how the others are shown.
func forbidden(r rune) bool {
	switch r {
	case '/', '\\', ':', '*', '?', '"', '<', '>', '|', unicode.ReplacementChar:
		return true
	case '\u2028', '\u2029': // line and paragraph separators
		return true
	}
	return unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Noncharacter_Code_Point, r)
}

// looksEscaped reports whether s, coming after a '%', would be taken for an
// escape.
func looksEscaped(s string) bool {
	if s == "" {
		return false
	}
	return s[0] == markEmpty[1] || s[0] == markCut[1] || len(s) > 1 && isHex(s[0]) && isHex(s[1])
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'F' || 'a' <= c && c <= 'f'
}

// reserved reports the names that Windows takes for devices, with whatever
// extension.
func reserved(s string) bool {
	stem, _, _ := strings.Cut(s, ".")
	stem = strings.ToUpper(strings.TrimRight(stem, " "))
	switch stem {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$":
		return true
	}
	for _, device := range []string{"COM", "LPT"} {
		if n, ok := strings.CutPrefix(stem, device); ok && len([]rune(n)) == 1 && strings.Contains("0123456789¹²³", n) {
			return true
		}
	}
	return false
}

// cut shortens a name that is too long: its beginning, a hash of all of it,
// and the extension if that is a usual one.
func cut(name, remote string, limit int) string {
	ext := path.Ext(name)
	if len(ext) > 16 || strings.Contains(ext, "%") {
		ext = ""
	}
	sum := sha256.Sum256([]byte(remote))
	tail := markCut + base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:])[:13] + ext
	head := name[:limit-len(tail)]
	for len(head) > 0 && !utf8.ValidString(head) { // not in the middle of a character
		head = head[:len(head)-1]
	}
	// Nor in the middle of an escape.
	if i := strings.LastIndexByte(head, '%'); i >= 0 && i > len(head)-3 {
		head = head[:i]
	}
	return head + tail
}
