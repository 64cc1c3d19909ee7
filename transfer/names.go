package transfer

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Names come from strangers. SafeName turns any of them into one that Linux,
// macOS and Windows take, that stays inside its folder, hides nothing and runs
// nothing by accident; what had to be changed can be read back.

const (
	// maxName is the length in bytes up to which names are kept whole. The
	// systems take 255; the rest is for prefixes and ".part".
	maxName = 200
	// cutMark stands before the hash of a name that was too long.
	cutMark = "%~"
	hashLen = 16
)

// ErrCutName says that a name was too long to be kept: its original cannot be
// told from it.
var ErrCutName = errors.New("transfer: name was cut")

var errName = errors.New("transfer: not a name that SafeName makes")

// SafeName is the name under which a file called remote is kept. Bytes that
// could do harm are written %XX, as is % itself; the empty name is "%".
// Different names have different results, but for letter case and Unicode
// form, see SameName. Names that would be longer than 200 bytes are cut and
// end with a hash of the whole.
func SafeName(remote string) string {
	if remote == "" {
		return "%"
	}
	name := escape(remote)
	if len(name) <= maxName {
		return name
	}
	sum := sha256.Sum256([]byte(remote))
	tail := cutMark + hex.EncodeToString(sum[:])[:hashLen]
	return cutName(name, maxName-len(tail)) + tail
}

// cutName shortens an escaped name without splitting a character or an escape.
func cutName(name string, n int) string {
	for n > 0 && !utf8.RuneStart(name[n]) {
		n--
	}
	if i := strings.LastIndexByte(name[:n], '%'); i >= 0 && i > n-3 {
		n = i
	}
	return name[:n]
}

func escape(remote string) string {
	var b strings.Builder
	last := len(remote)
	for i := 0; i < len(remote); {
		r, size := utf8.DecodeRuneInString(remote[i:])
		atEnd := i+size == last
		if r == utf8.RuneError && size == 1 || !allowed(r) ||
			i == 0 && (r == '.' || r == ' ' || r == '-' || r == '~') || atEnd && (r == '.' || r == ' ') {
			for _, c := range []byte(remote[i : i+size]) {
				fmt.Fprintf(&b, "%%%02X", c)
			}
		} else {
			b.WriteString(remote[i : i+size])
		}
		i += size
	}
	name := b.String()
	switch {
	case reserved(name):
		return fmt.Sprintf("%%%02X", name[0]) + name[1:]
	case strings.HasSuffix(strings.ToLower(name), partSuffix):
		return fmt.Sprintf("%s%%%02X", name[:len(name)-1], name[len(name)-1])
	}
	return name
}

// allowed says whether a character may stand in a name as it is: one that is
// visible, does not change how others are shown, and means nothing to a system.
func allowed(r rune) bool {
	if strings.ContainsRune(`/\:*?"<>|%`, r) {
		return false
	}
	return r == ' ' || unicode.IsPrint(r) && !unicode.In(r, unicode.Cf, unicode.Co, unicode.Cs)
}

// reserved says whether Windows takes a name for a device, extension or not.
func reserved(name string) bool {
	base, _, _ := strings.Cut(strings.ToUpper(name), ".")
	base = strings.TrimRight(base, " ")
	switch base {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$":
		return true
	}
	if digits, ok := strings.CutPrefix(base, "COM"); ok {
		return isPort(digits)
	}
	digits, ok := strings.CutPrefix(base, "LPT")
	return ok && isPort(digits)
}

// isPort says whether s is one digit; Windows takes superscripts for digits too.
func isPort(s string) bool {
	return utf8.RuneCountInString(s) == 1 && strings.Contains("0123456789¹²³", s)
}

// OriginalName is the inverse of SafeName. ErrCutName says that the name was
// too long to be kept.
func OriginalName(safe string) (string, error) {
	if safe == "%" {
		return "", nil
	}
	if i := len(safe) - len(cutMark) - hashLen; i >= 0 && safe[i:i+len(cutMark)] == cutMark {
		return "", ErrCutName
	}
	var b strings.Builder
	for i := 0; i < len(safe); i++ {
		if safe[i] != '%' {
			b.WriteByte(safe[i])
			continue
		}
		if i+3 > len(safe) {
			return "", errName
		}
		c, err := hex.DecodeString(safe[i+1 : i+3])
		if err != nil {
			return "", errName
		}
		b.WriteByte(c[0])
		i += 2
	}
	if SafeName(b.String()) != safe {
		return "", errName
	}
	return b.String(), nil
}

// SameName is a form of a name that is equal for all names which some file
// system takes for one: letter case and Unicode form do not count in it.
func SameName(name string) string {
	return norm.NFC.String(cases.Fold().String(norm.NFKC.String(name)))
}
