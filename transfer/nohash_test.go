package transfer

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/tghaul/haul/tl/api"
)

func TestNoHash(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.opts.NoHash = true
		f := b.add(1, 5*mib+123, 2)
		down, err := b.download(b.all())
		if err != nil || down.FilesDone != 1 || down.Done[0].SHA256 != [32]byte{} {
			t.Fatalf("download: %v, %+v", err, down)
		}
		got, err := os.ReadFile(filepath.Join(b.dir, down.Done[0].Path))
		if err != nil || !bytes.Equal(got, f.data) {
			t.Errorf("%d bytes are there, %v, and not what was asked for", len(got), err)
		}

		path, data := b.source("up", smallUpload+1)
		up, err := b.upload(t.Context(), upTo(path))
		if err != nil || up.FilesDone != 1 || up.Done[0].SHA256 != [32]byte{} {
			t.Fatalf("upload: %v, %+v", err, up)
		}
		b.checkUploaded(b.sent[0].InputFile.(*api.InputFileBig).ID, lenOf(int64(len(data))), data)
	})
}
