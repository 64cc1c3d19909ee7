package main

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"os"
	"path/filepath"
	"testing"
)

// A preview is made of a picture one at a time, as by ffmpeg: pictures are held
// in memory whole.
func TestPreviewsOneAtATime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "clip.jpg"))
	if err == nil {
		err = errors.Join(jpeg.Encode(f, image.NewGray(image.Rect(0, 0, 90, 90)), nil), f.Close(), os.WriteFile(filepath.Join(dir, "clip.mp4"), nil, 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
	th, err := newThumbs("sidecar")
	if err != nil {
		t.Fatal(err)
	}
	preview := th.of(source{path: filepath.Join(dir, "clip.mp4")})
	if b, err := preview(t.Context()); err != nil || len(b) == 0 {
		t.Fatal(fmt.Sprint(len(b), err))
	}
	th.running <- struct{}{} // another is being made
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if b, err := preview(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%d bytes, %v, while another is being made", len(b), err)
	}
	<-th.running
	if b, err := preview(t.Context()); err != nil || len(b) == 0 {
		t.Errorf("afterwards: %d bytes, %v", len(b), err)
	}
}
