package dctest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"image/jpeg"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// fileBytes encodes an answer and reads its bytes.
func fileBytes(t testing.TB, a *fileAnswer) []byte {
	t.Helper()
	d := tl.NewDecoder(tl.Marshal(a))
	if a.cdn != nil {
		f, ok := api.DecodeUploadCdnFile(d).(*api.UploadCdnFile)
		if !ok || d.End() != nil {
			t.Fatalf("answer is malformed: %v", d.Err())
		}
		return f.Bytes
	}
	f, ok := api.DecodeUploadFile(d).(*api.UploadFile)
	if !ok || d.End() != nil {
		t.Fatalf("answer is malformed: %v", d.Err())
	}
	return f.Bytes
}

// TestRange is the table of core.telegram.org/api/files#downloading-files.
func TestRange(t *testing.T) {
	const kib = 1024
	tests := []struct {
		name    string
		offset  int64
		limit   int
		precise bool
		want    string
	}{
		{"all of it", 0, 1024 * kib, false, ""},
		{"least", 0, 4 * kib, false, ""},
		{"aligned", 512 * kib, 512 * kib, false, ""},
		{"unaligned to itself", 4 * kib, 512 * kib, false, ""},
		{"far", 3 << 40, 1024 * kib, false, ""},
		{"offset of 1 KiB", kib, 4 * kib, false, "400 OFFSET_INVALID"},
		{"offset of 1 KiB, precise", kib, 4 * kib, true, ""},
		{"offset of 1 byte", 1, 4 * kib, true, "400 OFFSET_INVALID"},
		{"negative offset", -4 * kib, 4 * kib, false, "400 OFFSET_INVALID"},
		{"limit 0", 0, 0, false, "400 LIMIT_INVALID"},
		{"limit 0, precise", 0, 0, true, "400 LIMIT_INVALID"},
		{"negative limit", 0, -4 * kib, true, "400 LIMIT_INVALID"},
		{"limit of 1 KiB", 0, kib, false, "400 LIMIT_INVALID"},
		{"limit of 1 KiB, precise", 0, kib, true, ""},
		{"limit does not divide 1 MiB", 0, 12 * kib, false, "400 LIMIT_INVALID"},
		{"the same, precise", 0, 12 * kib, true, ""},
		{"limit over 1 MiB", 0, 2048 * kib, true, "400 LIMIT_INVALID"},
		{"across 1 MiB", 768 * kib, 512 * kib, false, "400 LIMIT_INVALID"},
		{"across 1 MiB, precise", 1023 * kib, 2 * kib, true, "400 LIMIT_INVALID"},
		{"up to 1 MiB, precise", 1023 * kib, kib, true, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := errorText(checkRange(tt.offset, tt.limit, tt.precise)); got != tt.want {
				t.Errorf("checkRange(%d, %d, %t) = %q, want %q", tt.offset, tt.limit, tt.precise, got, tt.want)
			}
		})
	}
}

// TestDownload reads a file at the DC where it lies and compares it with what
// the cluster says of it.
func TestDownload(t *testing.T) {
	for _, size := range []int64{0, 1, 4096, 1 << 20, 3<<20 + 5} {
		c := start(t, Config{Channels: oneFile(FileSpec{Kind: "document", MinSize: size, DC: 4})})
		b := bot(t, c)
		d := documentOf(t, b.message(1))
		if d.Size != size || d.DCID != 4 {
			t.Fatalf("size %d at DC %d, want %d at 4", d.Size, d.DCID, size)
		}
		b.fails(&api.UploadGetFileRequest{Location: location(d), Limit: 4096}, "303 FILE_MIGRATE_4")
		guest := b.at(4)
		sum := sha256.Sum256(guest.download(location(d), size))
		if got, want := hex.EncodeToString(sum[:]), c.Files()[0].SHA256; got != want {
			t.Errorf("%d bytes: SHA-256 %s, want %s", size, got, want)
		}
		if b := guest.part(&api.UploadGetFileRequest{Location: location(d), Offset: 4 << 20, Limit: 4096}); len(b) != 0 {
			t.Errorf("%d bytes beyond the end", len(b))
		}
		stats := c.Stats().Files[itoa64(d.ID)]
		if stats.Bytes != size || stats.Repeated != 0 || stats.Size != size {
			t.Errorf("stats %+v of %d bytes", stats, size)
		}
	}
}

func TestLocationErrors(t *testing.T) {
	c := start(t, Config{})
	b, u := bot(t, c), user(t, c)
	doc := documentOf(t, b.message(slices.Index(hostileNames, "CON")+9))
	pic := photoOf(t, b.message(4))
	theirs := documentOf(t, u.message(slices.Index(hostileNames, "CON")+9))
	if theirs.AccessHash == doc.AccessHash || bytes.Equal(theirs.FileReference, doc.FileReference) {
		t.Error("two accounts have the same access hash or reference")
	}
	change := func(f func(*api.InputDocumentFileLocation)) api.InputFileLocationClass {
		l := location(doc)
		l.FileReference = slices.Clone(l.FileReference)
		f(l)
		return l
	}
	photo := func(size string) api.InputFileLocationClass {
		return &api.InputPhotoFileLocation{ID: pic.ID, AccessHash: pic.AccessHash, FileReference: pic.FileReference, ThumbSize: size}
	}
	tests := []struct {
		name string
		l    api.InputFileLocationClass
		want string
	}{
		{"right", location(doc), ""},
		{"photo", photo("y"), ""},
		{"small photo", photo("m"), ""},
		{"no size of a photo", photo(""), "400 LOCATION_INVALID"},
		{"unknown size", photo("w"), "400 LOCATION_INVALID"},
		{"photo as document", &api.InputDocumentFileLocation{ID: pic.ID, AccessHash: pic.AccessHash, FileReference: pic.FileReference}, "400 LOCATION_INVALID"},
		{"document as photo", &api.InputPhotoFileLocation{ID: doc.ID, AccessHash: doc.AccessHash, FileReference: doc.FileReference, ThumbSize: "y"}, "400 LOCATION_INVALID"},
		{"small picture of a text", change(func(l *api.InputDocumentFileLocation) { l.ThumbSize = "m" }), "400 LOCATION_INVALID"},
		{"id", change(func(l *api.InputDocumentFileLocation) { l.ID++ }), "400 FILE_ID_INVALID"},
		{"negative id", change(func(l *api.InputDocumentFileLocation) { l.ID = -l.ID }), "400 FILE_ID_INVALID"},
		{"access hash", change(func(l *api.InputDocumentFileLocation) { l.AccessHash++ }), "400 FILE_ID_INVALID"},
		{"of another account", location(theirs), "400 FILE_ID_INVALID"},
		{"reference of another account", change(func(l *api.InputDocumentFileLocation) { l.FileReference = theirs.FileReference }), "400 FILE_REFERENCE_INVALID"},
		{"no reference", change(func(l *api.InputDocumentFileLocation) { l.FileReference = []byte{} }), "400 FILE_REFERENCE_EMPTY"},
		{"short reference", change(func(l *api.InputDocumentFileLocation) { l.FileReference = l.FileReference[1:] }), "400 FILE_REFERENCE_INVALID"},
		{"changed time", change(func(l *api.InputDocumentFileLocation) { l.FileReference[5]++ }), "400 FILE_REFERENCE_INVALID"},
		{"changed MAC", change(func(l *api.InputDocumentFileLocation) { l.FileReference[len(l.FileReference)-1]++ }), "400 FILE_REFERENCE_INVALID"},
		{"other kind", &api.InputTakeoutFileLocation{}, "400 LOCATION_INVALID"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := &caller{t: t, c: c, dc: b.dc, key: b.key}
			b.fails(&api.UploadGetFileRequest{Location: tt.l, Limit: 4096}, tt.want)
			b.fails(&api.UploadGetFileHashesRequest{Location: tt.l}, tt.want)
		})
	}
	b.fails(&api.UploadGetFileHashesRequest{Location: location(doc), Offset: -1}, "400 OFFSET_INVALID")
	b.fails(&api.UploadGetFileRequest{Location: location(doc), Limit: 5}, "400 LIMIT_INVALID")
}

// TestPhotoSizes: each size that a photo lists can be fetched and is a JPEG of
// the size it says.
func TestPhotoSizes(t *testing.T) {
	c := start(t, Config{})
	b := bot(t, c)
	p := photoOf(t, b.message(4))
	fetched := 0
	for _, s := range p.Sizes {
		var kind string
		var w, h, size int32
		switch s := s.(type) {
		case *api.PhotoSize:
			kind, w, h, size = s.Type, s.W, s.H, s.Size
		case *api.PhotoSizeProgressive:
			kind, w, h, size = s.Type, s.W, s.H, s.Sizes[len(s.Sizes)-1]
		default:
			continue
		}
		fetched++
		l := &api.InputPhotoFileLocation{ID: p.ID, AccessHash: p.AccessHash, FileReference: p.FileReference, ThumbSize: kind}
		data := b.download(l, int64(size))
		pic, err := jpeg.DecodeConfig(bytes.NewReader(data))
		if err != nil || pic.Width != int(w) || pic.Height != int(h) || len(data) != int(size) {
			t.Errorf("size %s: %d bytes, %dx%d, %v; want %d bytes, %dx%d", kind, len(data), pic.Width, pic.Height, err, size, w, h)
		}
	}
	if fetched != 2 {
		t.Errorf("%d sizes can be fetched, want 2", fetched)
	}
}

func TestReferencesExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, Config{ReferenceLifetime: Duration(time.Hour), Channels: oneFile(FileSpec{Kind: "document", MinSize: 10})})
		b := bot(t, c)
		d := documentOf(t, b.message(1))
		time.Sleep(time.Hour - time.Second)
		b.fails(&api.UploadGetFileRequest{Location: location(d), Limit: 4096}, "")
		time.Sleep(time.Second)
		b.fails(&api.UploadGetFileRequest{Location: location(d), Limit: 4096}, "400 FILE_REFERENCE_EXPIRED")
		fresh := documentOf(t, b.message(1))
		if fresh.ID != d.ID || fresh.AccessHash != d.AccessHash {
			t.Error("the document changed with its reference")
		}
		b.fails(&api.UploadGetFileRequest{Location: location(fresh), Limit: 4096}, "")
	})
}

// TestFileFaults lets each fault strike the second request.
func TestFileFaults(t *testing.T) {
	const size = 100_000
	setup := func(t *testing.T, kind string) (*caller, *api.Document, *api.UploadGetFileRequest) {
		c := start(t, Config{
			Channels: oneFile(FileSpec{Kind: "document", MinSize: size}),
			Faults:   []Fault{{Kind: kind, At: []int64{2}, Seconds: 7, Code: 500, Message: "HISTORY_GET_FAILED"}},
		})
		b := bot(t, c)
		d := documentOf(t, b.message(1))
		q := &api.UploadGetFileRequest{Location: location(d), Limit: 128 << 10}
		if got := len(b.part(q)); got != size {
			t.Fatalf("%d bytes before the fault, want %d", got, size)
		}
		return b, d, q
	}
	t.Run("short_part", func(t *testing.T) {
		b, _, q := setup(t, "short_part")
		if got := len(b.part(q)); got != size-shortBy {
			t.Errorf("%d bytes, want %d", got, size-shortBy)
		}
		if got := len(b.part(q)); got != size {
			t.Errorf("%d bytes afterwards, want %d", got, size)
		}
	})
	t.Run("file_reference_expired", func(t *testing.T) {
		b, _, q := setup(t, "file_reference_expired")
		b.fails(q, "400 FILE_REFERENCE_EXPIRED")
		b.fails(q, "400 FILE_REFERENCE_EXPIRED")
		q.Location = location(documentOf(t, b.message(1)))
		b.fails(q, "")
	})
	t.Run("references_expired", func(t *testing.T) {
		c := start(t, Config{
			Channels: []ChannelConfig{{Username: BigChannel, Files: []FileSpec{{Kind: "document", Count: 2, MinSize: 10}}}},
			Faults:   []Fault{{Kind: "references_expired", At: []int64{2}}},
		})
		b := bot(t, c)
		of := func(id int) *api.UploadGetFileRequest {
			return &api.UploadGetFileRequest{Location: location(documentOf(t, b.message(id))), Limit: 4096}
		}
		first, second := of(1), of(2)
		b.fails(first, "")
		b.fails(second, "400 FILE_REFERENCE_EXPIRED")
		b.fails(first, "400 FILE_REFERENCE_EXPIRED")
		b.fails(of(1), "")
		b.fails(of(2), "")
	})
	t.Run("file_migrate", func(t *testing.T) {
		b, _, q := setup(t, "file_migrate")
		b.fails(q, "303 FILE_MIGRATE_1")
		if d := documentOf(t, b.message(1)); d.DCID != 2 {
			t.Errorf("the message names DC %d, want the old one", d.DCID)
		}
		if got := len(b.at(1).part(q)); got != size {
			t.Errorf("%d bytes at the new DC, want %d", got, size)
		}
	})
	t.Run("gone", func(t *testing.T) {
		b, _, q := setup(t, "gone")
		b.fails(q, "400 FILE_REFERENCE_EXPIRED")
		if m, ok := b.message(1).(*api.MessageEmpty); !ok {
			t.Errorf("message is %T, want none", m)
		}
	})
	t.Run("error", func(t *testing.T) {
		b, _, q := setup(t, "error")
		b.fails(q, "500 HISTORY_GET_FAILED")
		b.fails(q, "")
	})
	t.Run("flood_wait", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b, _, q := setup(t, "flood_wait")
			b.fails(q, "420 FLOOD_WAIT_7")
			time.Sleep(6 * time.Second)
			b.fails(q, "420 FLOOD_WAIT_1")
			time.Sleep(time.Second)
			b.fails(q, "")
			if s := b.c.Stats(); s.WaitsIssued != 1 || s.RequestsInsideWait != 1 {
				t.Errorf("%d waits, %d requests inside; want 1 and 1", s.WaitsIssued, s.RequestsInsideWait)
			}
		})
	})
}

func TestFloodRuleAnswers(t *testing.T) {
	c := start(t, Config{
		Channels: oneFile(FileSpec{Kind: "document", MinSize: 10}),
		Flood: []FloodRule{
			{Method: "upload.getFile", Kind: "token_bucket", Rate: 0.1, Burst: 1, Premium: true},
			{Method: "channels.getFullChannel", Kind: "fixed_window", Window: Duration(time.Hour), Burst: 1, Wait: 9000},
		},
	})
	b := bot(t, c)
	q := &api.UploadGetFileRequest{Location: location(documentOf(t, b.message(1))), Limit: 4096}
	b.fails(q, "")
	b.fails(q, "420 FLOOD_PREMIUM_WAIT_10")
	full := &api.ChannelsGetFullChannelRequest{Channel: inputChannel(b.channel())}
	b.fails(full, "")
	b.fails(full, "420 FLOOD_WAIT_9000")
}

// TestCDN follows a redirect as a client does, and breaks each of its rules.
func TestCDN(t *testing.T) {
	const size = 300_000
	c := start(t, Config{Channels: oneFile(FileSpec{Kind: "document", MinSize: size, CDN: true})})
	b, u := bot(t, c), user(t, c)
	d := documentOf(t, b.message(1))
	plain := b.download(location(d), size) // without cdn_supported
	red := must[*api.UploadFileCdnRedirect](b, &api.UploadGetFileRequest{Location: location(d), Limit: 128 << 10, CdnSupported: true})
	if red.DCID != 203 || len(red.EncryptionKey) != 32 || len(red.EncryptionIv) != 16 {
		t.Fatalf("redirect %+v", red)
	}
	cdn := &caller{t: t, c: c, dc: 203, key: 999} // no account there
	q := &api.UploadGetCdnFileRequest{FileToken: red.FileToken, Limit: 128 << 10}
	again := must[*api.UploadCdnFileReuploadNeeded](cdn, q)
	b.fails(&api.UploadReuploadCdnFileRequest{FileToken: red.FileToken, RequestToken: []byte{1}}, "400 REQUEST_TOKEN_INVALID")
	b.fails(&api.UploadReuploadCdnFileRequest{FileToken: red.FileToken[1:], RequestToken: again.RequestToken}, "400 FILE_TOKEN_INVALID")
	u.fails(&api.UploadReuploadCdnFileRequest{FileToken: red.FileToken, RequestToken: again.RequestToken}, "400 FILE_TOKEN_INVALID")
	b.at(4).fails(&api.UploadReuploadCdnFileRequest{FileToken: red.FileToken, RequestToken: again.RequestToken}, "400 FILE_TOKEN_INVALID")
	blocks := must[hashes](b, &api.UploadReuploadCdnFileRequest{FileToken: red.FileToken, RequestToken: again.RequestToken})
	if len(blocks) != 3 {
		t.Fatalf("%d hashes, want 3", len(blocks))
	}
	for _, h := range blocks {
		q.Offset = h.Offset
		block := fileBytes(t, must[*fileAnswer](cdn, q))
		if bytes.Equal(block, plain[h.Offset:h.Offset+int64(h.Limit)]) {
			t.Fatal("the CDN serves plain bytes")
		}
		if err := crypto.CDNCrypt(red.EncryptionKey, red.EncryptionIv, h.Offset, block); err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(block); !bytes.Equal(sum[:], h.Hash) || !bytes.Equal(block, plain[h.Offset:h.Offset+int64(h.Limit)]) {
			t.Errorf("block at %d differs", h.Offset)
		}
	}
	q.Offset = 5
	cdn.fails(q, "400 OFFSET_INVALID")
	q.Offset, q.FileToken = 0, []byte("x")
	cdn.fails(q, "400 FILE_TOKEN_INVALID")
	cdn.fails(&api.HelpGetConfigRequest{}, "400 CDN_METHOD_INVALID")
	b.fails(q, "400 CDN_METHOD_INVALID")
	b.fails(&api.UploadGetCdnFileHashesRequest{FileToken: red.FileToken, Offset: -1}, "400 OFFSET_INVALID")
	if rest := must[hashes](b, &api.UploadGetCdnFileHashesRequest{FileToken: red.FileToken, Offset: 131072}); len(rest) != 2 {
		t.Errorf("%d hashes from the second block on, want 2", len(rest))
	}
}

func BenchmarkGetFile(b *testing.B) {
	for _, kind := range []string{"document", "video", "photo"} {
		b.Run(kind, func(b *testing.B) {
			c := start(b, Config{Channels: oneFile(FileSpec{Kind: kind, MinSize: 8 << 20})})
			client := bot(b, c)
			q := &api.UploadGetFileRequest{Limit: 1 << 20, Offset: 4 << 20}
			if kind == "photo" {
				p := photoOf(b, client.message(1))
				q.Location = &api.InputPhotoFileLocation{ID: p.ID, AccessHash: p.AccessHash, FileReference: p.FileReference, ThumbSize: "y"}
			} else {
				q.Location = location(documentOf(b, client.message(1)))
			}
			b.SetBytes(1 << 20)
			b.ReportAllocs()
			var e tl.Encoder
			for b.Loop() {
				e.Reset()
				must[*fileAnswer](client, q).Encode(&e)
			}
		})
	}
}
