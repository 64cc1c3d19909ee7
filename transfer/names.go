package transfer

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"path"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// maxName is the greatest length of a name in bytes. It leaves room for a
// suffix and ".part" below the 255 bytes that file systems take.
const maxName = 200

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
func SafeName(remote string) string {
	if remote == "" {
		return markEmpty
	}
	name := escape(remote)
	if len(name) > maxName {
		return cut(name, remote)
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

func escape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		first, last := i == 0, i+n == len(s)
		switch {
		case r == utf8.RuneError && n == 1, // not UTF-8
			forbidden(r),
			r == '%' && looksEscaped(s[i+1:]),
			(first || last) && (r == '.' || unicode.IsSpace(r)),
			r == '.' && strings.EqualFold(s[i:], partSuffix),
			first && reserved(s):
			for _, c := range []byte(s[i : i+n]) {
				b.Write([]byte{'%', hexDigits[c>>4], hexDigits[c&15]})
			}
		default:
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

// forbidden reports characters that some system refuses, that cannot be seen,
// or that change how the others are shown.
func forbidden(r rune) bool {
	switch r {
	case '/', '\\', ':', '*', '?', '"', '<', '>', '|', unicode.ReplacementChar:
		return true
	case '\u200d': // joins emoji
		return false
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
func cut(name, remote string) string {
	ext := path.Ext(name)
	if len(ext) > 16 || strings.Contains(ext, "%") {
		ext = ""
	}
	sum := sha256.Sum256([]byte(remote))
	tail := markCut + base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:])[:13] + ext
	head := name[:maxName-len(tail)]
	for len(head) > 0 && !utf8.ValidString(head) { // not in the middle of a character
		head = head[:len(head)-1]
	}
	// Nor in the middle of an escape.
	if i := strings.LastIndexByte(head, '%'); i >= 0 && i > len(head)-3 {
		head = head[:i]
	}
	return head + tail
}

// Names gives names that no two files of a folder share, not even on systems
// that take upper and lower case, or different Unicode forms, for the same.
// The zero value is ready to use. It is not safe for concurrent use.
type Names struct {
	taken map[string]bool // by fold
}

// Take returns a name for a file: SafeName of what it is called, with the
// document's id added if that is taken, and a number if that is too.
func (n *Names) Take(remote string, id int64) string {
	name := SafeName(remote)
	if n.Reserve(name) {
		return name
	}
	ext := path.Ext(name)
	if strings.Contains(ext, "%") {
		ext = ""
	}
	stem := strings.TrimSuffix(name, ext)
	with := stem + " (" + strconv.FormatUint(uint64(id), 10) + ")" + ext
	for i := 2; !n.Reserve(with); i++ {
		with = fmt.Sprintf("%s (%d-%d)%s", stem, uint64(id), i, ext)
	}
	return with
}

// Reserve takes a name, and reports false if it is taken already.
func (n *Names) Reserve(name string) bool {
	key := fold(name)
	if n.taken[key] {
		return false
	}
	if n.taken == nil {
		n.taken = make(map[string]bool)
	}
	n.taken[key] = true
	return true
}

// fold is the same for all names that some system takes for the same. It may
// be the same for others too.
func fold(name string) string {
	name = strings.ToUpper(strings.ToLower(norm.NFKC.String(name)))
	return norm.NFKC.String(cases.Fold().String(norm.NFKC.String(name)))
}
