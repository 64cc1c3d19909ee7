package checkpoint_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/tghaul/haul/checkpoint"
)

// A history commits numbered changes to a store: the n-th marks part n of one
// download, and begins another. So it can be told of a store which of them it has.
const historyParts = 1 << 20

var historyKey = checkpoint.Key{Document: -1}

func historyOf(n int) checkpoint.Key { return checkpoint.Key{Document: int64(n)} }

func crcOf(n int) uint32 { return uint32(n)*2654435761 + 7 }

func commitHistory(s *checkpoint.Store, from, to int) error {
	for n := from; n < to; n++ {
		var b checkpoint.Batch
		if n == 0 {
			b.Begin(historyKey, checkpoint.Download{Path: "all", Size: historyParts, PartSize: 1})
		}
		b.Mark(historyKey, n, crcOf(n))
		b.Begin(historyOf(n), checkpoint.Download{Path: "file " + strconv.Itoa(n), Size: int64(n), PartSize: 1})
		if err := s.Commit(&b); err != nil {
			return err
		}
	}
	return nil
}

// readHistory returns how many commits of a history a store has. An error if
// they are not its first ones, or a record is not what was written.
func readHistory(s *checkpoint.Store) (int, error) {
	all, found, err := s.Download(historyKey)
	if err != nil {
		return 0, err
	}
	n := len(all.Parts)
	if found && (all.Size != historyParts || all.Path != "all") {
		return n, fmt.Errorf("header %+v", all)
	}
	for i := range n {
		if all.Parts[i] != crcOf(i) {
			return n, fmt.Errorf("%d parts, part %d has checksum %d, want %d", n, i, all.Parts[i], crcOf(i))
		}
		if d, found, err := s.Download(historyOf(i)); err != nil || !found || d.Size != int64(i) {
			return n, errors.Join(fmt.Errorf("download %d of %d: %+v, %v", i, n, d, found), err)
		}
	}
	for i := n; i < n+3; i++ {
		if _, found, err := s.Download(historyOf(i)); err != nil || found {
			return n, errors.Join(fmt.Errorf("download %d after %d parts: %v", i, n, found), err)
		}
	}
	return n, nil
}

// copyStore copies a store as a power loss would leave it, were everything on disk.
func copyStore(from, to string) error {
	from, to = filepath.Join(from, "badger"), filepath.Join(to, "badger")
	if err := errors.Join(os.RemoveAll(filepath.Dir(to)), os.MkdirAll(to, 0o700)); err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err != nil {
			return err
		}
		path := filepath.Join(to, e.Name()) // its end is mostly a hole
		if err := os.WriteFile(path, trimZeros(b), 0o600); err != nil {
			return err
		}
		if err := os.Truncate(path, int64(len(b))); err != nil {
			return err
		}
	}
	return nil
}

// trimZeros cuts off the zeros at the end, by pages: byte by byte the race
// detector takes longer for the holes of a store than the store for its commits.
func trimZeros(b []byte) []byte {
	zeros := make([]byte, 4096)
	for bytes.HasSuffix(b, zeros) {
		b = b[:len(b)-len(zeros)]
	}
	return bytes.TrimRight(b, "\x00")
}

// TestValueLogDamaged: nothing is ever written into a value log, so a byte in
// it, wherever it is, is damage. A byte of statistics is not.
func TestValueLogDamaged(t *testing.T) {
	for _, tt := range []struct {
		name, file string
		at         int
		aside      bool
	}{
		{"a byte of its header", "000001.vlog", 0, true},
		{"the byte behind it", "000001.vlog", 20, true},
		{"the last byte of many", "000001.vlog", 200_000, true},
		{"statistics", "DISCARD", 5000, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, checkpoint.Options{})
			if err := errors.Join(commitHistory(s, 0, 2), s.Close()); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "badger", tt.file)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			b = slices.Concat(b, make([]byte, max(0, tt.at+1-len(b))))
			b[tt.at] = 1
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			s = open(t, dir, checkpoint.Options{})
			n, err := readHistory(s)
			if aside, why := s.SetAside(); (aside != "") != tt.aside || err != nil || (n == 0) != tt.aside {
				t.Errorf("set aside as %q: %v; %d commits, %v", aside, why, n, err)
			}
		})
	}
}

// TestTornLog tears the end of the log in every way that a power loss can: the
// store opens, and has the first commits up to some moment.
func TestTornLog(t *testing.T) {
	const commits = 30
	dir, torn := t.TempDir(), t.TempDir()
	s := open(t, dir, checkpoint.Options{})
	if err := commitHistory(s, 0, commits); err != nil {
		t.Fatal(err)
	}
	logs, err := filepath.Glob(filepath.Join(dir, "badger", "*.mem"))
	if err != nil || len(logs) != 1 {
		t.Fatalf("logs %v, %v", logs, err)
	}
	whole, err := os.ReadFile(logs[0])
	if err != nil {
		t.Fatal(err)
	}
	used := len(trimZeros(whole))
	seed := rand.Uint64()
	t.Logf("seed %d, log of %d bytes", seed, used)
	rng := rand.New(rand.NewPCG(seed, 0))
	seen := make(map[int]bool)
	tries := 40
	if underRace {
		tries = 10
	}
	for range tries {
		at := rng.IntN(used-20) + 20
		data := slices.Clone(whole)
		if how := rng.IntN(3); how == 0 {
			data = data[:at] // cut
		} else {
			clear(data[at:]) // zeroed
			if how == 2 {    // or with half a sector of something
				for i := range min(256, len(data)-at) {
					data[at+i] = byte(rng.Uint32())
				}
			}
		}
		if err := copyStore(dir, torn); err != nil {
			t.Fatal(err)
		}
		log := filepath.Join(torn, "badger", filepath.Base(logs[0]))
		if err := errors.Join(os.WriteFile(log, data[:min(used, len(data))], 0o600), os.Truncate(log, int64(len(data)))); err != nil {
			t.Fatal(err)
		}
		c, err := checkpoint.Open(torn, checkpoint.Options{})
		if err != nil {
			t.Fatalf("torn at %d: %v", at, err)
		}
		n, err := readHistory(c)
		if path, why := c.SetAside(); err != nil || path != "" {
			t.Errorf("torn at %d: %d commits, %v; set aside as %q: %v", at, n, err, path, why)
		}
		if err := commitHistory(c, n, n+1); err != nil {
			t.Errorf("torn at %d: commit: %v", at, err)
		}
		if err := c.Close(); err != nil {
			t.Errorf("torn at %d: close: %v", at, err)
		}
		seen[n] = true
	}
	if len(seen) < tries/6 {
		t.Errorf("only %d different prefixes in %d tries", len(seen), tries)
	}
}

// Kinds of damage.
func damage(rng *rand.Rand, dir string) (what string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		if e.Name() != "LOCK" {
			names = append(names, e.Name())
		}
	}
	name := names[rng.IntN(len(names))]
	path := filepath.Join(dir, name)
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	used := max(1, len(bytes.TrimRight(b, "\x00")))
	if len(b) == 0 {
		return name + ": empty", nil
	}
	at := rng.IntN(used)
	switch rng.IntN(5) {
	case 0:
		bit := rng.IntN(8)
		b[at] ^= 1 << bit
		what = fmt.Sprintf("%s: bit %d of byte %d turned", name, bit, at)
	case 1:
		b, what = b[:at], fmt.Sprintf("%s: cut at %d", name, at)
	case 2:
		end := min(len(b), at+1+rng.IntN(2000))
		clear(b[at:end])
		what = fmt.Sprintf("%s: zeroed from %d to %d", name, at, end)
	case 3:
		end := min(len(b), at+1+rng.IntN(200))
		for i := range b[at:end] {
			b[at+i] = byte(rng.Uint32())
		}
		what = fmt.Sprintf("%s: garbage from %d to %d", name, at, end)
	default:
		return name + ": removed", os.Remove(path)
	}
	size := int64(len(b))
	return what, errors.Join(os.WriteFile(path, trimZeros(b), 0o600), os.Truncate(path, size))
}

// listing is each file of a folder with its content's length.
func listing(dir string) string {
	var l []string
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if fi, err := e.Info(); err == nil {
			l = append(l, fmt.Sprintf("%s %d", e.Name(), fi.Size()))
		}
	}
	return strings.Join(l, "\n")
}

// damageChild is the other process of TestDamaged, which may be ended by Badger.
func damageChild(seed uint64, dir string) error {
	stores, err := damageable(dir)
	if err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	aside := 0
	for i := range damages() {
		base := stores[rng.IntN(len(stores))]
		victim := filepath.Join(dir, "victim")
		if err := copyStore(base, victim); err != nil {
			return err
		}
		what, err := damage(rng, filepath.Join(victim, "badger"))
		if err != nil {
			return err
		}
		what = fmt.Sprintf("%d: %s, %s", i, filepath.Base(base), what)
		fmt.Println(what) // the last line, should this be the end
		before := listing(filepath.Join(victim, "badger"))
		set, err := useDamaged(victim, before)
		// The format of Badger's files is two bytes that no checksum covers.
		formatHit := errors.Is(err, checkpoint.ErrVersion) && strings.Contains(what, "MANIFEST")
		if err != nil && !formatHit {
			return fmt.Errorf("%s: %w", what, err)
		}
		if set {
			aside++
		}
	}
	fmt.Println("set aside", aside)
	return nil
}

// damages is how many each child does.
func damages() int {
	if underRace {
		return 12
	}
	return 80
}

// damageable makes stores of different kinds: one with all records in its log,
// one with all in tables, and a large one with both.
func damageable(dir string) ([]string, error) {
	var stores []string
	for _, kind := range []struct {
		name            string
		closed, further int // commits before it is closed, and after
	}{{"log", 0, 60}, {"tables", 60, 0}, {"both", 400, 40}} {
		work, store := filepath.Join(dir, "work "+kind.name), filepath.Join(dir, kind.name)
		s, err := checkpoint.Open(work, checkpoint.Options{})
		if err == nil && kind.closed > 0 {
			err = errors.Join(commitHistory(s, 0, kind.closed), s.Close())
			if err == nil {
				s, err = checkpoint.Open(work, checkpoint.Options{})
			}
		}
		if err == nil && kind.further > 0 {
			err = errors.Join(commitHistory(s, kind.closed, kind.closed+kind.further), copyStore(work, store))
		}
		if err == nil {
			err = s.Close()
		}
		if err == nil && kind.further == 0 {
			err = copyStore(work, store)
		}
		if err != nil {
			return nil, err
		}
		stores = append(stores, store)
	}
	return stores, nil
}

// useDamaged opens a damaged store, which must work, and reports whether it was
// set aside.
func useDamaged(dir, before string) (bool, error) {
	s, err := checkpoint.Open(dir, checkpoint.Options{})
	if err != nil {
		return false, err
	}
	n, err := readHistory(s)
	path, why := s.SetAside()
	switch {
	case err != nil:
	case path != "" && (why == nil || n != 0):
		err = fmt.Errorf("set aside (%w), and %d commits are there", why, n)
	case path != "":
		if got := listing(path); got != before {
			err = fmt.Errorf("set aside:\n%s\nwas\n%s", got, before)
		}
	}
	err = errors.Join(err, commitHistory(s, n, n+2), s.Close())
	if err != nil {
		return path != "", err
	}
	again, err := checkpoint.Open(dir, checkpoint.Options{})
	if err != nil {
		return path != "", err
	}
	if twice, why := again.SetAside(); twice != "" {
		err = fmt.Errorf("set aside again: %w", why)
	}
	if m, herr := readHistory(again); herr != nil || m != n+2 {
		err = errors.Join(err, fmt.Errorf("%d commits after %d more, %w", m, 2, herr))
	}
	return path != "", errors.Join(err, again.Close())
}

// TestDamaged damages stores at random (faults 45): none ends the process, each
// can be opened, and has either some first part of what was committed to it, or
// was set aside as it was. In another process, since Badger might end it.
func TestDamaged(t *testing.T) {
	for w := range 2 {
		t.Run(strconv.Itoa(w), func(t *testing.T) {
			t.Parallel()
			seed := rand.Uint64()
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), "CHECKPOINT_TEST_DIR="+t.TempDir(), fmt.Sprintf("CHECKPOINT_TEST_DAMAGE=%d", seed))
			out, err := cmd.CombinedOutput()
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			if err != nil {
				t.Fatalf("seed %d: %v after\n%s", seed, err, strings.Join(lines[max(0, len(lines)-30):], "\n"))
			}
			var aside int
			if _, err := fmt.Sscanf(lines[len(lines)-1], "set aside %d", &aside); err != nil || aside < damages()/4 {
				t.Errorf("seed %d: %q; want at least a quarter of %d set aside", seed, lines[len(lines)-1], damages())
			}
			t.Logf("seed %d: %d of %d set aside", seed, aside, damages())
		})
	}
}

// A store of a later version is refused, and left alone.
func TestLaterVersion(t *testing.T) {
	tests := []struct {
		name  string
		store func(dir string) error
	}{
		{"record", func(dir string) error {
			o := badger.DefaultOptions(filepath.Join(dir, "badger")).WithLogger(nil).WithCompression(options.None)
			db, err := badger.Open(o)
			if err != nil {
				return err
			}
			err = db.Update(func(txn *badger.Txn) error { return txn.Set([]byte("version"), []byte{0, 0, 0, 99}) })
			return errors.Join(err, db.Close())
		}},
		{"file", func(dir string) error {
			// Of the rest this program may understand nothing.
			return errors.Join(os.WriteFile(filepath.Join(dir, "version"), []byte("99\n"), 0o600),
				os.WriteFile(filepath.Join(dir, "badger", "MANIFEST"), []byte("of another world"), 0o600))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			s, err := checkpoint.Open(dir, checkpoint.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(commitHistory(s, 0, 3), s.Close(), tt.store(dir)); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				s, err = checkpoint.Open(dir, checkpoint.Options{})
				if err == nil {
					_ = s.Close()
				}
				if !errors.Is(err, checkpoint.ErrVersion) || !strings.Contains(err.Error(), "99") {
					t.Errorf("Open: %v; want ErrVersion with the number", err)
				}
			}
			if names, _ := filepath.Glob(filepath.Join(dir, "badger*")); len(names) != 1 {
				t.Errorf("folders %v", names)
			}
		})
	}
}

// BenchmarkOpen100k opens and closes a store with 100,000 files.
//
//	go test ./checkpoint -run '^$' -bench Open100k
func BenchmarkOpen100k(b *testing.B) {
	dir := b.TempDir()
	s, err := checkpoint.Open(dir, checkpoint.Options{})
	if err != nil {
		b.Fatal(err)
	}
	const files = 100_000
	at := time.Unix(1_700_000_000, 0).UTC()
	for n := 0; n < files; {
		var batch checkpoint.Batch
		for range 5000 {
			k := checkpoint.Key{Target: 7, Chat: -1001, Message: n, Document: int64(n) << 20}
			if n%10 == 0 { // some are unfinished
				batch.Begin(k, checkpoint.Download{Path: fmt.Sprintf("channel/%d_video.mp4", n), Size: 50 << 20, PartSize: 1 << 20})
				batch.Mark(k, 3, 1)
			} else {
				batch.Finish(k, checkpoint.Done{Path: fmt.Sprintf("channel/%d_photo.jpg", n), Size: 100_000, SHA256: [32]byte{byte(n)}, At: at})
			}
			n++
		}
		if err := s.Commit(&batch); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s, err := checkpoint.Open(dir, checkpoint.Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
