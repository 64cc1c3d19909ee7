package dctest

import (
	"testing"

	"github.com/tghaul/haul/telegram/dctest/content"
)

// TestMadeFiles: the files that are remembered weigh no more than maxMade,
// and those that keep all of their bytes have no more than that.
func TestMadeFiles(t *testing.T) {
	const large = 2 << 20
	cfg := ChannelConfig{Title: "Many"}
	for _, kind := range []string{"photo", "voice", "audio", "video", "document", "round", "sticker"} {
		cfg.Files = append(cfg.Files,
			FileSpec{Kind: kind, Count: 50, MinSize: large, MaxSize: 2 * large, DC: 2},
			FileSpec{Kind: kind, Count: 50, MinSize: 1, MaxSize: 100 << 10, DC: 2})
	}
	// Larger than all the others may be together.
	cfg.Files = append(cfg.Files, FileSpec{Kind: "voice", Count: 1, MinSize: maxMade + 1, MaxSize: maxMade + 1, DC: 2})
	w := newWorld(&Config{Seed: 1, HomeDC: 2, Channels: []ChannelConfig{cfg}})
	ch, forgotten := w.channels[0], 0
	for id := 1; id <= ch.ids.top; id++ {
		before := len(w.made)
		f := w.file(w.message(ch, id).file.id)
		if w.file(f.id) != f {
			t.Fatalf("file %d, %d bytes of %s, is not remembered", id, f.size, f.kindName())
		}
		forgotten += before + 1 - len(w.made)
		var weights, whole int64
		for _, other := range w.made {
			weights += other.weight()
			if other.kind != content.Document && other.kind != content.Video {
				whole += other.size
			}
		}
		if w.madeBytes != weights {
			t.Fatalf("after file %d: %d files weigh %d, counted are %d", id, len(w.made), weights, w.madeBytes)
		}
		if max(weights, whole) > maxMade && len(w.made) > 1 {
			t.Fatalf("after file %d: %d files weigh %d and keep %d bytes", id, len(w.made), weights, whole)
		}
	}
	if n := ch.ids.top; forgotten == 0 || forgotten >= n-1 {
		t.Errorf("%d of %d files are forgotten, want some", forgotten, n)
	}
}
