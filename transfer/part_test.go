package transfer

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

const (
	benchPart  = 128 << 10
	benchParts = 512 // of a file
)

// prompt is a Telegram that answers each request for a part at once, with the
// same bytes, and allocates nothing for it. What BenchmarkPart counts is the
// engine's: a file's start and end, over its 512 parts, included.
type prompt struct {
	Telegram
	part, saved answer
	payloads    sync.Pool
}

type answer []byte

func (a answer) Body() []byte { return a }
func (answer) Release()       {}

func newPrompt() *prompt {
	data := make([]byte, benchPart)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(data)
	p := &prompt{
		part:  tl.Marshal(&api.UploadFile{Type: &api.Other{Raw: tl.Raw{0x05, 0x3b, 0x96, 0xaa}}, Bytes: data}),
		saved: tl.Marshal(boolTrue{}),
	}
	p.payloads.New = func() any { return new([uploadPartSize]byte) }
	return p
}

func (p *prompt) HomeDC() int { return 2 }

func (p *prompt) FileSession(context.Context, int, telegram.Use, int) (Session, error) { return p, nil }

func (p *prompt) Invoke(context.Context, tl.Object) (Response, error) { return &p.part, nil }

func (p *prompt) InvokeWith(_ context.Context, _ tl.Object, payload mtproto.Payload) (Response, error) {
	b := p.payloads.Get().(*[uploadPartSize]byte)
	defer p.payloads.Put(b)
	_, err := payload.From.ReadAt(b[:payload.Len], payload.At)
	return &p.saved, err
}

func (p *prompt) SendUploaded(context.Context, telegram.Peer, telegram.Uploaded) (int, telegram.File, error) {
	return 1, telegram.File{}, nil
}

// BenchmarkPart is what the engine does for a part, scheduler and checkpoint (in
// memory) included, network and encryption not: an operation is one part.
func BenchmarkPart(b *testing.B) {
	b.Run("download", func(b *testing.B) {
		root, err := os.OpenRoot(b.TempDir())
		if err != nil {
			b.Fatal(err)
		}
		defer root.Close() //nolint:errcheck // a folder
		benchmarkParts(b, benchPart, func(e *Engine, parts int, id int64) (*Report, error) {
			f := telegram.File{ID: id, Size: int64(parts) * benchPart, DC: 2, Name: "file", Kind: telegram.KindDocument}
			defer root.Remove("file") //nolint:errcheck // the next one fails then
			return e.Download(b.Context(), one(Download{File: f, Dir: root, Path: "file"}))
		})
	})
	b.Run("upload", func(b *testing.B) {
		dir := b.TempDir()
		benchmarkParts(b, uploadPartSize, func(e *Engine, parts int, _ int64) (*Report, error) {
			path := filepath.Join(dir, "source")
			f, err := os.Create(path)
			if err != nil {
				return nil, err
			}
			if err := f.Truncate(int64(parts) * uploadPartSize); err != nil {
				return nil, err
			}
			if err := f.Close(); err != nil {
				return nil, err
			}
			return e.Upload(b.Context(), one(Upload{Path: path, To: channel}))
		})
	})
}

func benchmarkParts(b *testing.B, size int64, move func(e *Engine, parts int, id int64) (*Report, error)) {
	b.SetBytes(size)
	b.ReportAllocs()
	e := NewFor(newPrompt(), Options{Checkpoint: checkpoint.NewMemory(), PartSize: benchPart, Connections: 8})
	for id, left := int64(1), b.N; left > 0; id++ {
		parts := min(left, benchParts)
		left -= parts
		r, err := move(e, parts, id)
		if err != nil {
			b.Fatal(err)
		}
		if r.FilesDone != 1 || r.Parts < parts {
			b.Fatalf("%d files, %d parts of %d: %+v", r.FilesDone, r.Parts, parts, r.Failed)
		}
	}
}

func one[T any](v T) func(func(T, error) bool) {
	return func(yield func(T, error) bool) { yield(v, nil) }
}
