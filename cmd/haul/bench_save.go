package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/tghaul/haul/cmd/haul/internal/sweep"
)

// save writes what is recommended to the configuration file, if that is wanted.
func (b *benchmark) save() error {
	n := sweep.Recommend(b.results)
	if !b.c.Bool("save") || n == 0 {
		return nil
	}
	path := b.c.String("config")
	if path == "" {
		dir, err := os.UserConfigDir()
		if err != nil {
			return fmt.Errorf("no place for the configuration: %w; name one with --config", err)
		}
		path = filepath.Join(dir, "haul", "config.toml")
	}
	old, err := os.ReadFile(path)
	mode := fs.FileMode(0o600)
	switch info, statErr := os.Stat(path); {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case statErr == nil:
		mode = info.Mode().Perm()
	default:
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
	}
	// Beside it first: a crash leaves one of both whole.
	beside := path + ".new"
	if err := os.WriteFile(beside, []byte(setKey(string(old), "connections", fmt.Sprint(n))), mode); err != nil {
		return err
	}
	if err := os.Rename(beside, path); err != nil {
		return errors.Join(err, os.Remove(beside))
	}
	say(b.c, "connections = %d is in %s now", n, path)
	return nil
}

// setKey gives a key of a flat TOML text a value. All else stays as it is,
// comments and order included.
func setKey(text, key, value string) string {
	line := key + " = " + value
	known := regexp.MustCompile(`(?m)^[ \t]*` + regexp.QuoteMeta(key) + `[ \t]*=[^\r\n]*`)
	if known.MatchString(text) {
		return known.ReplaceAllLiteralString(text, line)
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text + line + "\n"
}
