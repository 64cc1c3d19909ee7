package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/tghaul/haul/checkpoint"
)

// databaseFolder is where the checkpoint's database makes its files with modes
// of its own. Nobody else gets into the folder.
const databaseFolder = "badger"

// configFile may be in the store's folder, which is the place for both by
// default. Configuration looks at it.
const configFile = "config.toml"

// mostExposed bounds how many paths are named one by one.
const mostExposed = 5

// Permissions looks whether others can get at anything of a store: folders are
// to have mode 0700, files 0600, all of them this user's. A store that is not
// there is in order.
func Permissions(store string) []Finding {
	const check = "permissions"
	if runtime.GOOS == "windows" {
		return []Finding{Skip(check, "%s: Windows has none of this kind", store)}
	}
	var bad []Finding
	folders, files := 0, 0
	err := filepath.WalkDir(store, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		switch {
		case d.IsDir():
			folders++
			want = 0o700
		case filepath.Base(filepath.Dir(path)) == databaseFolder:
			files++
			return nil
		case path == filepath.Join(store, configFile):
			return nil
		default:
			files++
		}
		if fi.Mode()&fs.ModeSymlink != 0 && path != store {
			bad = append(bad, wrong(check, "put a folder or file of its own there", "%s is a symbolic link", path))
		} else if fi.Mode().Perm()&0o077 != 0 && fi.Mode()&fs.ModeSymlink == 0 {
			bad = append(bad, wrong(check, fmt.Sprintf("chmod %o %s", want, path), "%s has mode %04o: others can get at it", path, fi.Mode().Perm()).
				with("path", path).with("mode", fmt.Sprintf("%04o", fi.Mode().Perm())))
		}
		if uid, other := stranger(fi); other {
			bad = append(bad, wrong(check, fmt.Sprintf("chown %d %s", os.Geteuid(), path), "%s belongs to user %d", path, uid))
		}
		return nil
	})
	switch {
	case errors.Is(err, fs.ErrNotExist) && folders == 0:
		return []Finding{ok(check, "there is no store yet; it will be %s", store)}
	case err != nil:
		bad = append(bad, wrong(check, "", "%v", err))
	case len(bad) == 0:
		return []Finding{ok(check, "%s: %d folders 0700, %d files 0600", store, folders, files)}
	}
	if n := len(bad) - mostExposed; n > 0 {
		bad = append(bad[:mostExposed], wrong(check, "chmod -R go= "+store, "and %d more", n))
	}
	return bad
}

// secretFlags are the flags whose values in a configuration file are secrets.
var secretFlags = []string{"app-hash", "token", "password", "code", "proxy", "phone"}

// Configuration looks at the configuration file that is in use: others must not
// read one that has secrets. path is "" if there is none.
func Configuration(path string, values map[string]any) Finding {
	const check = "configuration"
	if path == "" {
		return ok(check, "no configuration file")
	}
	var secrets []string
	for name := range values {
		if slices.Contains(secretFlags, name) {
			secrets = append(secrets, name)
		}
	}
	slices.Sort(secrets)
	fi, err := os.Stat(path)
	switch {
	case err != nil:
		return wrong(check, "", "%v", err)
	case runtime.GOOS != "windows" && fi.Mode().Perm()&0o077 != 0 && len(secrets) > 0:
		return wrong(check, "chmod 600 "+path, "%s has mode %04o, and others can read its %s", path, fi.Mode().Perm(), strings.Join(secrets, ", "))
	}
	return ok(check, "%s, mode %04o", path, fi.Mode().Perm())
}

// Lock judges how the checkpoint of an account was opened; err is of that.
func Lock(account string, err error) Finding {
	const check = "lock"
	var locked *checkpoint.LockedError
	var space *checkpoint.SpaceError
	switch {
	case err == nil:
		return ok(check, "account %s is free", account)
	case errors.As(err, &locked):
		return note(check, "wait for it to end, or use another account with -n", "account %s is in use by process %d", account, locked.PID).
			with("pid", locked.PID)
	case errors.As(err, &space):
		return Skip(check, "account %s: the disk is too full to open it", account)
	case errors.Is(err, checkpoint.ErrDamaged):
		return wrong(check, "nothing to do: the next run sets it aside, and makes another from what is on disk", "account %s: %v", account, err)
	case errors.Is(err, checkpoint.ErrVersion):
		return wrong(check, "a newer haul has written it: use that one", "account %s: %v", account, err)
	default:
		return wrong(check, "", "account %s: %v", account, err)
	}
}

// fewBytes of room are worth a word.
const fewBytes = 1 << 30

// Space judges the room on the disk of the store, in bytes.
func Space(dir string, free int64, err error) Finding {
	const check = "space"
	const hint = "free some space there, or put the store elsewhere with --store"
	switch {
	case err != nil:
		return wrong(check, "", "free space of %s: %v", dir, err)
	case free == math.MaxInt64:
		return Skip(check, "this system does not say")
	case free < checkpoint.DefaultMinFree:
		return wrong(check, hint, "%d MiB are free in %s; haul needs %d MiB", free>>20, dir, checkpoint.DefaultMinFree>>20).with("free_bytes", free)
	case free < fewBytes:
		return note(check, hint, "only %d MiB are free in %s", free>>20, dir).with("free_bytes", free)
	}
	return ok(check, "%.1f GiB are free in %s", float64(free)/(1<<30), dir).with("free_bytes", free)
}
