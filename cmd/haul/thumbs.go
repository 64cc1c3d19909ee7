package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/tghaul/haul/transfer/media"
)

// thumbs makes the previews of what is sent. Safe for concurrent use.
type thumbs struct {
	none   bool
	ffmpeg string // its path; "": it is not used
	wanted bool   // it was looked for
	// without counts the videos that have no preview for want of ffmpeg.
	without atomic.Int32
	// running has a token for each preview that is being made: pictures are held
	// in memory whole, and ffmpeg takes all cores.
	running chan struct{}
}

// pictureExt are the names of pictures, in the order in which they are taken as
// the preview of a file of that name.
var pictureExt = []string{".thumb", ".jpg", ".jpeg", ".png", ".webp"}

// mediaExt are the names of files whose preview a .thumb beside them is.
var mediaExt = []string{".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mp3", ".m4a", ".flac", ".ogg", ".opus", ".wav"}

func newThumbs(mode string) (*thumbs, error) {
	t := &thumbs{running: make(chan struct{}, 1)}
	switch mode {
	case "", "auto":
		t.wanted = true
		t.ffmpeg, _ = exec.LookPath("ffmpeg")
	case "sidecar":
	case "none":
		t.none = true
	default:
		return nil, fmt.Errorf("%q is none of auto, sidecar and none", mode)
	}
	return t, nil
}

// of makes the preview of a source.
func (t *thumbs) of(s source) func(context.Context) ([]byte, error) {
	if t.none || isPicture(s.path) {
		return nil
	}
	return func(ctx context.Context) ([]byte, error) {
		select {
		case t.running <- struct{}{}:
			defer func() { <-t.running }()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if b, found, err := sidecar(s.path); found {
			return b, err
		}
		info, err := probe(s.path)
		if err != nil || info.Kind != media.Video || !t.wanted {
			return nil, nil //nolint:nilerr // what is wrong with the file is said elsewhere
		}
		if t.ffmpeg == "" {
			t.without.Add(1)
			return nil, nil
		}
		return media.Frame(ctx, t.ffmpeg, s.path, info.Duration)
	}
}

// say tells once what is missing.
func (t *thumbs) say(w io.Writer) {
	if n := t.without.Load(); n > 0 {
		_, _ = fmt.Fprintf(w, "haul: %s went without a preview: ffmpeg is not on the PATH, and no picture lies beside\n", count(int(n), "video"))
	}
}

func probe(path string) (media.Info, error) {
	f, err := os.Open(path)
	if err != nil {
		return media.Info{}, err
	}
	defer f.Close() //nolint:errcheck // only read
	fi, err := f.Stat()
	if err != nil {
		return media.Info{}, err
	}
	return media.Probe(f, fi.Size())
}

// sidecar is the preview made of the picture beside a file: clip.thumb, clip.jpg
// and so on for clip.mp4.
func sidecar(path string) (jpeg []byte, found bool, err error) {
	stem := strings.TrimSuffix(path, filepath.Ext(path))
	for _, ext := range pictureExt {
		f, err := os.Open(stem + ext)
		if err != nil {
			continue
		}
		defer f.Close() //nolint:errcheck // only read
		fi, err := f.Stat()
		if err != nil || !fi.Mode().IsRegular() {
			continue
		}
		jpeg, err = media.Thumb(f, fi.Size())
		if err != nil {
			err = fmt.Errorf("%s beside it: %w", filepath.Base(stem+ext), err)
		}
		return jpeg, true, err
	}
	return nil, false, nil
}

// isSidecar reports whether a file is nothing but the preview of another one:
// clip.thumb beside clip.mp4. All other pictures are files of their own too.
func isSidecar(path string) bool {
	stem, thumb := strings.CutSuffix(path, ".thumb")
	return thumb && slices.ContainsFunc(mediaExt, func(ext string) bool {
		fi, err := os.Lstat(stem + ext)
		return err == nil && fi.Mode().IsRegular()
	})
}
