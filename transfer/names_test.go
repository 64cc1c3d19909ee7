package transfer

import (
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestSafeName(t *testing.T) {
	t.Parallel()
	tests := []struct{ remote, want string }{
		{"lecture.mp4", "lecture.mp4"},
		{"100% real.jpg", "100% real.jpg"},
		{"Привет, мир – 日本語 😀.txt", "Привет, мир – 日本語 😀.txt"},
		{"family 👨‍👩‍👧.jpg", "family 👨‍👩‍👧.jpg"},
		{"", "%_"},
		{"%_", "%25_"},
		{"%~x", "%25~x"},
		{"%41", "%2541"},
		{"../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd"},
		{"/etc/passwd", "%2Fetc%2Fpasswd"},
		{`C:\x`, "C%3A%5Cx"},
		{".", "%2E"},
		{"..", "%2E%2E"},
		{".hidden", "%2Ehidden"},
		{"a\x00b", "a%00b"},
		{"a:b", "a%3Ab"},
		{"what?*<>|\"", "what%3F%2A%3C%3E%7C%22"},
		{"trailing. ", "trailing.%20"},
		{"trailing .", "trailing %2E"},
		{" leading", "%20leading"},
		{"CON", "%43ON"},
		{"con.txt", "%63on.txt"},
		{"CON .txt", "%43ON .txt"},
		{"COM1", "%43OM1"},
		{"com¹.x", "%63om¹.x"},
		{"CONSOLE", "CONSOLE"},
		{"COM10", "COM10"},
		{"evil\u202egpj.exe", "evil%E2%80%AEgpj.exe"},
		{"a\u200bb", "a%E2%80%8Bb"},
		{"tab\there", "tab%09here"},
		{"\xff\xfe", "%FF%FE"},
		{"x.part", "x%2Epart"},
		{"x.PART", "x%2EPART"},
		{".part", "%2Epart"},
		{"x.part.txt", "x.part.txt"},
	}
	for _, tt := range tests {
		got := SafeName(tt.remote)
		if got != tt.want {
			t.Errorf("SafeName(%q) = %q, want %q", tt.remote, got, tt.want)
		}
		if back, ok := UnescapeName(got); !ok || back != tt.remote {
			t.Errorf("UnescapeName(%q) = %q, %v; want %q", got, back, ok, tt.remote)
		}
	}
}

func TestSafeNameCuts(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("日本", 100)
	a, b := SafeName(long+"a.mp4"), SafeName(long+"b.mp4")
	if len(a) > maxName || a == b || !strings.HasSuffix(a, ".mp4") || !strings.HasPrefix(a, "日本日本") {
		t.Errorf("names %q and %q", a, b)
	}
	if _, ok := UnescapeName(a); ok {
		t.Error("a name that was cut was unescaped")
	}
}

// valid reports what is wrong with a name on Linux, macOS or Windows.
func valid(name string) string {
	switch stem, _, _ := strings.Cut(strings.ToUpper(name), "."); {
	case name == "" || name == "." || name == "..":
		return "is no name"
	case len(name) > maxName:
		return "is too long"
	case !utf8.ValidString(name):
		return "is not UTF-8"
	case strings.ContainsAny(name, "/\\:*?\"<>|\x7f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f"):
		return "has a forbidden character"
	case strings.IndexFunc(name, func(r rune) bool { return r < 32 }) >= 0:
		return "has a control character"
	case strings.HasSuffix(name, ".") || strings.HasSuffix(name, " ") || strings.HasPrefix(name, " ") || strings.HasPrefix(name, "."):
		return "begins or ends badly"
	case strings.HasSuffix(strings.ToLower(name), partSuffix):
		return "looks unfinished"
	case !filepath.IsLocal(name) || filepath.Base(name) != name:
		return "is not one local element"
	default:
		switch strings.TrimRight(stem, " ") {
		case "CON", "PRN", "AUX", "NUL", "COM1", "LPT9", "COM¹":
			return "is a device"
		}
	}
	return ""
}

// checkName holds SafeName to its promise.
func checkName(t *testing.T, remote string) {
	t.Helper()
	name := SafeName(remote)
	if wrong := valid(name); wrong != "" {
		t.Fatalf("SafeName(%q) = %q, which %s", remote, name, wrong)
	}
	back, ok := UnescapeName(name)
	if ok && back != remote {
		t.Fatalf("UnescapeName(%q) = %q, want %q", name, back, remote)
	}
	if !ok && (len(name) < maxName-16 || len(remote) <= maxName/3) {
		t.Fatalf("SafeName(%q) = %q was cut without need", remote, name)
	}
}

// hostile makes a name out of the pieces that attacks are made of.
func hostile(rng *rand.Rand) string {
	pieces := []string{
		"..", "/", "\\", "CON", "con", "nul", ".", " ", "%", "%2", "%41", "%_", "%~", "a", "A", "é", "e\u0301", "ﬁ", "ß", "SS",
		"İ", "ı", "\x00", "\u202e", "\xff", ":", "*", ".part", ".PART", ".txt", "LPT1", "COM¹", "日本", "\n", "\u200d", "😀",
		strings.Repeat("x", 90), strings.Repeat("ж", 40), "~", "_", "\u2028", "-", "\ufffd", "$", "~1",
	}
	var b strings.Builder
	for range rng.IntN(7) {
		b.WriteString(pieces[rng.IntN(len(pieces))])
	}
	return b.String()
}

// TestHostileNames tries 10^5 names: none leads out, none is lost, no two files
// get one name, on whatever system.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	var names Names
	taken := make(map[string]bool)
	escaped := make(map[string]string)
	n := 100_000
	if UnderRace {
		n = 20_000
	}
	for i := range n {
		remote := hostile(rng)
		checkName(t, remote)
		safe := SafeName(remote)
		if other, ok := escaped[safe]; ok && other != remote {
			t.Fatalf("%q and %q both become %q", remote, other, safe)
		}
		escaped[safe] = remote
		name := names.Take(remote, int64(i))
		key := strings.ToUpper(strings.ToLower(name))
		if taken[key] {
			t.Fatalf("%q was given away twice", name)
		}
		taken[key] = true
		if len(name)+len(partSuffix) > 255 {
			t.Fatalf("%q is %d bytes long", name, len(name))
		}
	}
}

// Names that some system takes for the same get different ones (faults 33).
func TestNames(t *testing.T) {
	t.Parallel()
	tests := [][2]string{
		{"A.txt", "a.TXT"},
		{"caf\u00e9", "cafe\u0301"},
		{"STRASSE", "straße"},
		{"ﬁle", "file"},
		{"K.txt", "\u212a.txt"},
		{"same", "same"},
	}
	for _, tt := range tests {
		var n Names
		a, b := n.Take(tt[0], 7), n.Take(tt[1], 8)
		if a != tt[0] || !strings.Contains(b, " (8)") {
			t.Errorf("%q and %q become %q and %q; want a suffix", tt[0], tt[1], a, b)
		}
		if c := n.Take(tt[1], 8); c == b || c == a {
			t.Errorf("a third one becomes %q too", c)
		}
	}
}

func FuzzSafeName(f *testing.F) {
	for _, s := range []string{"", "a", "..", "%41", "CON.txt", "x.part", "\xff", strings.Repeat("é", 200)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, remote string) { checkName(t, remote) })
}

func FuzzUnescapeName(f *testing.F) {
	f.Add("%2E.%2F")
	f.Add("%")
	f.Fuzz(func(t *testing.T, name string) {
		remote, ok := UnescapeName(name)
		if ok && SafeName(remote) == name {
			return
		}
		if ok && len(remote) > len(name) {
			t.Errorf("UnescapeName(%q) = %q grew", name, remote)
		}
	})
}

// TestAsideIsNobodysName: what is set aside for a moment may be taken for that by a
// later run, so that no file of a stranger may be called so while it is unfinished.
func TestAsideIsNobodysName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a", "a.bin", strings.Repeat("x", maxName)} {
		other, unfinished := strings.CutSuffix(name+asideSuffix, partSuffix)
		if unfinished && SafeName(other) == other {
			t.Errorf("%s is the unfinished name of %s", name+asideSuffix, other)
		}
		if n := len(SafeName(name) + asideSuffix); n > 255 {
			t.Errorf("a name of %d bytes", n)
		}
	}
}
