package transfer

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/tl/api"
)

const (
	// measureStep is how much is asked for at a time to find the end of a file.
	measureStep = minPartSize
	// measureTries is how often the answers may contradict each other.
	measureTries = 3
)

// errUnsteady says that a file's end is now here, now there.
var errUnsteady = errors.New("transfer: the server's answers about where the file ends contradict each other")

// Measure finds out how long a file is of which only the location is known, as
// of a telegram.ParseFileID, and where it is now. It takes 5 to 40 requests of
// 4 KiB, one after the other, which obey waits as parts do. A name without an
// extension gets the one of what the server says that the file is. It must be
// called while Download reads its sequence, by that sequence.
func (e *Engine) Measure(ctx context.Context, f telegram.File) (telegram.File, error) {
	r := e.running.Load()
	if r == nil {
		return f, errors.New("transfer: Measure is for the sequence of a run")
	}
	d := &download{run: r, file: f}
	for range measureTries {
		size, err := d.findEnd(ctx)
		switch {
		case errors.Is(err, errUnsteady):
			continue
		case errors.Is(err, errStale):
			return f, fmt.Errorf("%w (%w)", telegram.ErrNoOrigin, err)
		case err != nil:
			return f, err
		}
		measured := d.file
		measured.Size = size
		return measured, nil
	}
	return f, errUnsteady
}

// findEnd looks for the first step that is not full: first in strides, then by
// halving. A server in trouble answers too short now and then, so what was
// found must show itself once more, and there must be nothing beyond.
func (d *download) findEnd(ctx context.Context) (size int64, err error) {
	length := func(step int64) int {
		n := 0
		if err == nil {
			n, err = d.probe(ctx, step*measureStep)
		}
		return n
	}
	full, short := int64(-1), int64(0)
	for stride := int64(64); length(short) == measureStep; stride *= 4 {
		if full, short = short, short+stride; short*measureStep > telegram.MaxFileSize {
			return 0, fmt.Errorf("%w: more than %d bytes", ErrSize, int64(telegram.MaxFileSize))
		}
	}
	for full+1 < short {
		if middle := (full + short) / 2; length(middle) == measureStep {
			full = middle
		} else {
			short = middle
		}
	}
	rest, beyond, again := length(short), length(short+1), length(short)
	switch size = short*measureStep + int64(rest); {
	case err != nil:
		return 0, err
	case rest == measureStep || beyond > 0 || again != rest:
		return 0, errUnsteady
	case size == 0:
		return 0, fmt.Errorf("%w: the server has no bytes of it", ErrSize)
	}
	return size, nil
}

// probe is how many bytes of a step are there.
func (d *download) probe(ctx context.Context, at int64) (n int, err error) {
	err = d.ask(ctx, getFileMethod, func(s Session) error {
		d.mu.Lock()
		q := &api.UploadGetFileRequest{Location: d.file.Location(), Offset: at, Limit: measureStep}
		d.mu.Unlock()
		return call(ctx, s, q, func(answer api.UploadFileClass) error {
			a, ok := answer.(*api.UploadFile)
			if !ok {
				return &answerError{method: q.TypeName(), err: fmt.Errorf("unexpected %s", answer.TypeName())}
			}
			if len(a.Bytes) > measureStep {
				return fmt.Errorf("%w: %d bytes, asked for %d", ErrLong, len(a.Bytes), measureStep)
			}
			n = len(a.Bytes)
			d.nameBy(a.Type)
			return nil
		})
	})
	return n, err
}

// extensions are those of what a storage.FileType says, by its name in the schema.
var extensions = map[string]string{
	"storage.fileJpeg": ".jpg", "storage.fileGif": ".gif", "storage.filePng": ".png", "storage.filePdf": ".pdf",
	"storage.fileMp3": ".mp3", "storage.fileMov": ".mov", "storage.fileMp4": ".mp4", "storage.fileWebp": ".webp",
}

// nameBy gives a name without an extension the one of a storage.FileType.
func (d *download) nameBy(kind api.StorageFileTypeClass) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !strings.Contains(d.file.Name, ".") {
		d.file.Name += extensions[kind.TypeName()]
	}
}
