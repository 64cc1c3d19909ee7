package transfer

import (
	"errors"
	"testing"

	"github.com/tghaul/haul/telegram"
)

// A thumbnail is another file than the one it is of, and gets its new reference
// from that.
func TestThumbRenewed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	whole := b.add(1, 1000, 2).File
	whole.Small = telegram.Thumbnail{Type: "m", Size: 70, W: 9, H: 9}
	thumb, ok := whole.ThumbFile()
	if !ok {
		t.Fatal("no thumbnail")
	}
	if keyOf(Download{File: whole, Dir: b.root}) == keyOf(Download{File: thumb, Dir: b.root}) {
		t.Error("the checkpoint takes file and thumbnail for one")
	}
	d := &download{file: thumb, size: thumb.Size}
	whole.FileReference = []byte("new")
	if err := d.renew([]telegram.File{whole}); err != nil || string(d.file.FileReference) != "new" || !d.file.IsThumb || d.file.Size != 70 {
		t.Errorf("renewed: %+v, %v", d.file, err)
	}
	other := whole
	other.Small.Size = 71
	if err := d.renew([]telegram.File{other}); !errors.Is(err, ErrGone) {
		t.Errorf("another thumbnail: %v", err)
	}
	other.Small = telegram.Thumbnail{}
	if err := d.renew([]telegram.File{other}); !errors.Is(err, ErrGone) {
		t.Errorf("no thumbnail any more: %v", err)
	}
	d = &download{file: whole, size: whole.Size}
	if err := d.renew([]telegram.File{whole}); err != nil {
		t.Errorf("the file itself: %v", err)
	}
}
