package dctest

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/tghaul/haul/tl/api"
)

// TestPartRules breaks each rule for the parts of an upload. Each step is a
// part and the error it is answered with.
func TestPartRules(t *testing.T) {
	type step struct {
		number, total, size int
		want                string
	}
	const kib = 1024
	small := func(number, size int, want string) step { return step{number, 0, size, want} }
	tests := []struct {
		name  string
		steps []step
	}{
		{"small: one odd part", []step{small(0, 5, "")}},
		{"small: empty", []step{small(0, 0, "400 FILE_PART_EMPTY")}},
		{"small: too big", []step{small(0, 512*kib+1, "400 FILE_PART_TOO_BIG")}},
		{"small: number", []step{small(-1, 5, "400 FILE_PART_INVALID"), small(4000, 5, "400 FILE_PART_INVALID")}},
		{"small: more than 10 MiB", append(func() (s []step) {
			for i := range 20 {
				s = append(s, small(i, 512*kib, ""))
			}
			return s
		}(), small(20, 1, "400 FILE_PART_INVALID"), small(3, 512*kib, ""))},
		{"small: the last one first", []step{small(1, kib, ""), small(0, 2*kib, "")}},
		{"then big", []step{small(0, kib, ""), {0, 2, kib, "400 FILE_PART_INVALID"}}},
		{"big: in any order", []step{{2, 3, 7, ""}, {1, 3, 4 * kib, ""}, {0, 3, 4 * kib, ""}, {0, 3, 4 * kib, ""}}},
		{"big: empty", []step{{0, 2, 0, "400 FILE_PART_EMPTY"}, {1, 2, 0, "400 FILE_PART_EMPTY"}}},
		{"big: number", []step{{2, 2, kib, "400 FILE_PART_INVALID"}, {-1, 2, kib, "400 FILE_PART_INVALID"}}},
		{"big: total", []step{{0, 0, kib, "400 FILE_PARTS_INVALID"}, {0, 4001, kib, "400 FILE_PARTS_INVALID"}, {0, -2, kib, "400 FILE_PARTS_INVALID"}}},
		{"big: total changes", []step{{0, 3, kib, ""}, {1, 4, kib, "400 FILE_PARTS_INVALID"}}},
		{"big: no multiple of 1024", []step{{0, 2, kib + 1, "400 FILE_PART_SIZE_INVALID"}}},
		{"big: does not divide 512 KiB", []step{{0, 2, 3 * kib, "400 FILE_PART_SIZE_INVALID"}}},
		{"big: size changes", []step{{0, 3, 2 * kib, ""}, {1, 3, kib, "400 FILE_PART_SIZE_CHANGED"}, {1, 3, 4 * kib, "400 FILE_PART_SIZE_CHANGED"}}},
		{"big: last larger", []step{{0, 2, kib, ""}, {1, 2, 2 * kib, "400 FILE_PART_SIZE_CHANGED"}}},
		{"big: last larger, and first", []step{{1, 2, 2 * kib, ""}, {0, 2, kib, "400 FILE_PART_SIZE_CHANGED"}, {1, 2, 9, ""}, {0, 2, kib, ""}}},
		{"stream: total at the end", []step{{0, -1, kib, ""}, {1, -1, kib, ""}, {2, 3, 9, ""}}},
		{"stream: empty last part", []step{{0, -1, kib, ""}, {1, 2, 0, ""}}},
		{"stream: short part inside", []step{{0, -1, 9, "400 FILE_PART_SIZE_INVALID"}}},
		{"stream: number", []step{{4000, -1, kib, "400 FILE_PART_INVALID"}}},
	}
	c := start(t, Config{})
	b := bot(t, c)
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := &caller{t: t, c: c, dc: b.dc, key: b.key}
			for _, s := range tt.steps {
				var err error
				if s.total == 0 && tt.name != "big: total" {
					_, err = b.call(&api.UploadSaveFilePartRequest{FileID: int64(i), FilePart: int32(s.number), Bytes: make([]byte, s.size)})
				} else {
					_, err = b.call(&api.UploadSaveBigFilePartRequest{FileID: int64(i), FilePart: int32(s.number), FileTotalParts: int32(s.total), Bytes: make([]byte, s.size)})
				}
				if got := errorText(err); got != s.want {
					t.Errorf("part %d of %d with %d bytes: got %q, want %q", s.number, s.total, s.size, got, s.want)
				}
			}
		})
	}
	t.Run("only at home", func(t *testing.T) {
		b.at(4).fails(&api.UploadSaveFilePartRequest{FileID: 1, Bytes: []byte{1}}, "303 FILE_MIGRATE_2")
	})
}

// upload sends data in parts of a size, in any order and some of them twice.
func (c *caller) upload(id int64, data []byte, size int, big bool, rnd *rand.Rand) int {
	c.t.Helper()
	n := max(1, (len(data)+size-1)/size)
	order := append(rnd.Perm(n), rnd.IntN(n))
	for _, i := range order {
		b := data[i*size : min(len(data), (i+1)*size)]
		if big {
			must[boxedBool](c, &api.UploadSaveBigFilePartRequest{FileID: id, FilePart: int32(i), FileTotalParts: int32(n), Bytes: b})
		} else {
			must[boxedBool](c, &api.UploadSaveFilePartRequest{FileID: id, FilePart: int32(i), Bytes: b})
		}
	}
	return n
}

func noise(rnd *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return b
}

// TestAssemble: parts make the file again, whatever the order they come in.
func TestAssemble(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	c := start(t, Config{})
	b := bot(t, c)
	for i, tt := range []struct {
		size, part int
		big        bool
	}{
		{1, 1024, false},
		{1024, 1024, false},
		{5000, 1024, false},
		{300_000, 32 << 10, false},
		{10<<20 + 1, 512 << 10, true},
		{11 << 20, 128 << 10, true},
		{700, 1024, true},
	} {
		data := noise(rnd, tt.size)
		id := int64(1000 + i)
		n := b.upload(id, data, tt.part, tt.big, rnd)
		file := api.InputFileClass(&api.InputFile{ID: id, Parts: int32(n), Name: "a.bin"})
		if tt.big {
			file = &api.InputFileBig{ID: id, Parts: int32(n), Name: "a.bin"}
		}
		for range 2 { // the parts may be used again
			media := must[*api.MessageMediaDocument](b, &api.MessagesUploadMediaRequest{
				Peer: inputPeer(b.channel()), Media: &api.InputMediaUploadedDocument{File: file, MimeType: "a/b"},
			})
			d, ok := media.Document.(*api.Document)
			if !ok || d.Size != int64(tt.size) {
				t.Fatalf("%+v: document %+v", tt, media.Document)
			}
			if got := b.download(location(d), d.Size); !bytes.Equal(got, data) {
				t.Errorf("%+v: what comes back differs", tt)
			}
		}
	}
	if got := len(c.Uploaded()); got != 14 {
		t.Errorf("%d files uploaded, want 14", got)
	}
}

// download reads a file in parts of 512 KiB.
func (c *caller) download(l api.InputFileLocationClass, size int64) []byte {
	c.t.Helper()
	var all []byte
	for int64(len(all)) < size {
		b := c.part(&api.UploadGetFileRequest{Location: l, Offset: int64(len(all)), Limit: 512 << 10})
		if len(b) == 0 {
			c.t.Fatalf("empty part at %d of %d", len(all), size)
		}
		all = append(all, b...)
	}
	return all
}

// part is the bytes of an answer to upload.getFile.
func (c *caller) part(q *api.UploadGetFileRequest) []byte {
	c.t.Helper()
	return fileBytes(c.t, must[*fileAnswer](c, q))
}

// TestAssembleErrors names an upload in a wrong way.
func TestAssembleErrors(t *testing.T) {
	c := start(t, Config{})
	b := bot(t, c)
	rnd := rand.New(rand.NewPCG(1, 1))
	data := noise(rnd, 5000)
	b.upload(1, data, 1024, false, rnd)
	b.upload(2, data, 1024, true, rnd)
	for _, p := range []struct{ id, number, size int }{{3, 0, 1024}, {3, 2, 1024}, {4, 0, 1024}, {4, 1, 512}, {4, 2, 1024}, {5, 0, 1024}, {5, 1, 2048}, {6, 0, 100}, {6, 1, 100}} {
		must[boxedBool](b, &api.UploadSaveFilePartRequest{FileID: int64(p.id), FilePart: int32(p.number), Bytes: make([]byte, p.size)})
	}
	sum := md5.Sum(data)
	good := hex.EncodeToString(sum[:])
	peer := inputPeer(b.channel())
	for _, tt := range []struct {
		name string
		file api.InputFileClass
		want string
	}{
		{"good sum", &api.InputFile{ID: 1, Parts: 5, MD5Checksum: good}, ""},
		{"no sum", &api.InputFile{ID: 1, Parts: 5}, ""},
		{"wrong sum", &api.InputFile{ID: 1, Parts: 5, MD5Checksum: good[1:] + "0"}, "400 MD5_CHECKSUM_INVALID"},
		{"part missing at the end", &api.InputFile{ID: 1, Parts: 6}, "400 FILE_PART_5_MISSING"},
		{"fewer parts of a file in use", &api.InputFile{ID: 1, Parts: 4}, "400 FILE_PARTS_INVALID"},
		{"part missing inside", &api.InputFile{ID: 3, Parts: 3}, "400 FILE_PART_1_MISSING"},
		{"short part inside", &api.InputFile{ID: 4, Parts: 3}, "400 FILE_PART_SIZE_INVALID"},
		{"last part larger", &api.InputFile{ID: 5, Parts: 2}, "400 FILE_PART_LENGTH_INVALID"},
		{"odd parts", &api.InputFile{ID: 6, Parts: 2}, "400 FILE_PART_SIZE_INVALID"},
		{"unknown", &api.InputFile{ID: 99, Parts: 1}, "400 FILE_PART_0_MISSING"},
		{"no parts", &api.InputFile{ID: 1}, "400 FILE_PARTS_INVALID"},
		{"too many parts", &api.InputFile{ID: 1, Parts: 4001}, "400 FILE_PARTS_INVALID"},
		{"small as big", &api.InputFileBig{ID: 1, Parts: 5}, "400 FILE_PARTS_INVALID"},
		{"big as small", &api.InputFile{ID: 2, Parts: 5}, "400 FILE_PARTS_INVALID"},
		{"big with another total", &api.InputFileBig{ID: 2, Parts: 4}, "400 FILE_PARTS_INVALID"},
		{"story", &api.InputFileStoryDocument{ID: &api.InputDocumentEmpty{}}, "400 INPUT_FILE_INVALID"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := &caller{t: t, c: c, dc: b.dc, key: b.key}
			b.fails(&api.MessagesUploadMediaRequest{Peer: peer, Media: &api.InputMediaUploadedDocument{File: tt.file}}, tt.want)
		})
	}
}

func TestSources(t *testing.T) {
	data := []byte("0123456789")
	for name, s := range map[string]source{"memory": memSource(data)} {
		for _, tt := range []struct {
			off  int64
			n    int
			want string
			err  error
		}{{0, 4, "0123", nil}, {8, 4, "89", io.EOF}, {10, 1, "", io.EOF}, {99, 1, "", io.EOF}, {6, 4, "6789", nil}} {
			b := make([]byte, tt.n)
			n, err := s.ReadAt(b, tt.off)
			if string(b[:n]) != tt.want || tt.err != nil && !errors.Is(err, tt.err) {
				t.Errorf("%s: ReadAt(%d, %d) = %q, %v; want %q, %v", name, tt.off, tt.n, b[:n], err, tt.want, tt.err)
			}
		}
	}
}
