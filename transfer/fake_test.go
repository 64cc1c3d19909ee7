package transfer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A fake is a Telegram that serves files from memory, with hooks for every
// fault. Its clock is the bubble's.
type fake struct {
	t       *testing.T
	latency time.Duration

	mu       sync.Mutex
	files    map[int64]*fakeFile
	requests []request
	buffers  int // responses that are not released
	most     int // as many buffers as there were at a time
	refresh  [][]int
	reauths  int
	dropped  int
	uploads  map[int64]map[int][]byte // parts by file id
	sent     []telegram.Uploaded
	sentTo   map[int64]int // message by random id

	slowErrors bool // what hook answers takes the latency too

	// hook may answer instead of the server, when it returns true. One call
	// of it runs at a time. errStall means never to answer, errLate to answer
	// after a time, whether or not anybody still waits.
	hook        func(r request) (tl.Object, error, bool)
	hookMu      sync.Mutex
	onRefresh   func(ids []int) (map[int][]telegram.File, error)
	onCDN       func(dc int) error
	dialing     time.Duration // what a call for any session but the first takes
	onReauth    func(cause error) error
	onSend      func(u telegram.Uploaded) error
	onCDNAnswer func(data []byte) // may spoil what a CDN sends
}

type fakeFile struct {
	telegram.File
	data []byte
	dc   int    // where it really is
	ref  string // the reference that is valid now
	cdn  int    // the CDN DC that it is redirected to; 0: none
	// cdnHas says that the CDN has it without a reupload.
	cdnHas bool
	// noHashes leaves the hashes out of the redirect.
	noHashes bool
}

var (
	errStall = errors.New("stall")
	errLate  = errors.New("late")
)

// A request is what reached the fake.
type request struct {
	at   time.Time
	dc   int
	cdn  bool
	use  telegram.Use
	conn int
	q    tl.Object
}

func newFake(t *testing.T) *fake {
	f := &fake{
		t: t, latency: 20 * time.Millisecond, files: make(map[int64]*fakeFile),
		uploads: make(map[int64]map[int][]byte), sentTo: make(map[int64]int),
	}
	t.Cleanup(func() {
		if f.buffers != 0 {
			t.Errorf("%d response buffers were never released", f.buffers)
		}
	})
	return f
}

var channel = telegram.Peer{Kind: telegram.PeerChannel, ID: 1, AccessHash: 1}

// add makes a file with random content. Its message has the same number.
func (f *fake) add(id int64, size, dc int) *fakeFile {
	data := make([]byte, size)
	rng := rand.NewChaCha8([32]byte{byte(id), byte(id >> 8)})
	_, _ = rng.Read(data)
	file := &fakeFile{
		File: telegram.File{
			ID: id, AccessHash: id, FileReference: []byte("ref"), Kind: telegram.KindDocument, Size: int64(size),
			DC: dc, Name: fmt.Sprintf("file%d.bin", id), Origin: telegram.Origin{Peer: channel, MessageID: int(id)},
		},
		data: data, dc: dc, ref: "ref",
	}
	f.files[id] = file
	return file
}

func (f *fake) HomeDC() int { return 2 }

func (f *fake) NewHash() *crypto.Hash { return crypto.NewHash() }

func (f *fake) FileSession(ctx context.Context, dc int, use telegram.Use, n int) (Session, error) {
	if f.dialing > 0 && n > 0 {
		if err := nap(ctx, f.dialing); err != nil {
			return nil, err
		}
	}
	return fakeSession{f, dc, false, use, n}, nil
}

func (f *fake) DropFileSession(int, telegram.Use, int) {
	f.mu.Lock()
	f.dropped++
	f.mu.Unlock()
}

func (f *fake) CDNSession(_ context.Context, dc, n int) (Session, error) {
	if f.onCDN != nil {
		if err := f.onCDN(dc); err != nil {
			return nil, err
		}
	}
	return fakeSession{f, dc, true, telegram.Download, n}, nil
}

func (f *fake) ReauthorizeDC(_ context.Context, _ int, cause error) error {
	f.mu.Lock()
	f.reauths++
	f.mu.Unlock()
	if f.onReauth != nil {
		return f.onReauth(cause)
	}
	return nil
}

func (f *fake) RefreshFiles(ctx context.Context, _ telegram.Peer, ids []int) (map[int][]telegram.File, error) {
	if err := nap(ctx, f.latency); err != nil {
		return nil, err
	}
	f.mu.Lock()
	f.refresh = append(f.refresh, slices.Clone(ids))
	f.mu.Unlock()
	if f.onRefresh != nil {
		return f.onRefresh(ids)
	}
	return f.fresh(ids), nil
}

// fresh is what an honest refresh brings.
func (f *fake) fresh(ids []int) map[int][]telegram.File {
	f.mu.Lock()
	defer f.mu.Unlock()
	files := make(map[int][]telegram.File)
	for _, id := range ids {
		if file := f.files[int64(id)]; file != nil {
			now := file.File
			now.FileReference = []byte(file.ref)
			files[id] = []telegram.File{now}
		}
	}
	return files
}

func (f *fake) UploadMedia(context.Context, telegram.Peer, telegram.Uploaded) (telegram.Media, error) {
	return telegram.Media{}, errors.New("albums are tested with a cluster")
}

func (f *fake) SendAlbum(context.Context, telegram.Peer, []telegram.AlbumItem, telegram.SendOptions) []telegram.SentItem {
	return nil
}

func (f *fake) SendUploaded(ctx context.Context, _ telegram.Peer, u telegram.Uploaded) (int, telegram.File, error) {
	if err := nap(ctx, f.latency); err != nil {
		return 0, telegram.File{}, err
	}
	if f.onSend != nil {
		if err := f.onSend(u); err != nil {
			return 0, telegram.File{}, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if id, again := f.sentTo[u.RandomID]; again {
		return id, telegram.File{ID: int64(id)}, nil
	}
	f.sent = append(f.sent, u)
	f.sentTo[u.RandomID] = len(f.sent)
	return len(f.sent), telegram.File{ID: int64(len(f.sent))}, nil
}

type fakeSession struct {
	f    *fake
	dc   int
	cdn  bool
	use  telegram.Use
	conn int
}

// kept is a copy of a query of a part, which is the caller's again when the
// call has returned.
func kept(q tl.Object) tl.Object {
	switch q := q.(type) {
	case *api.UploadGetFileRequest:
		c := *q
		return &c
	case *api.UploadSaveFilePartRequest:
		c := *q
		return &c
	case *api.UploadSaveBigFilePartRequest:
		c := *q
		return &c
	default:
		return q
	}
}

func (s fakeSession) Invoke(ctx context.Context, q tl.Object) (Response, error) {
	q = kept(q)
	r := request{at: time.Now(), dc: s.dc, cdn: s.cdn, use: s.use, conn: s.conn, q: q}
	s.f.mu.Lock()
	s.f.requests = append(s.f.requests, r)
	s.f.mu.Unlock()
	var answer tl.Object
	var err error
	handled := false
	if s.f.hook != nil {
		s.f.hookMu.Lock()
		answer, err, handled = s.f.hook(r)
		s.f.hookMu.Unlock()
	}
	switch {
	case errors.Is(err, errStall):
		<-ctx.Done()
		return nil, ctx.Err()
	case errors.Is(err, errLate):
		time.Sleep(40 * time.Second)
		handled, err = true, nil
	}
	if handled && s.f.slowErrors {
		if err := nap(ctx, s.f.latency); err != nil {
			return nil, err
		}
	}
	if !handled {
		if err := nap(ctx, s.f.latency); err != nil {
			return nil, err
		}
		answer, err = s.f.serve(r)
	}
	if err != nil {
		return nil, err
	}
	s.f.mu.Lock()
	s.f.buffers++
	s.f.most = max(s.f.most, s.f.buffers)
	s.f.mu.Unlock()
	return &fakeResponse{f: s.f, body: tl.Marshal(answer)}, nil
}

// InvokeWith reads the payload at once, into the request.
func (s fakeSession) InvokeWith(ctx context.Context, q tl.Object, payload mtproto.Payload) (Response, error) {
	b := make([]byte, payload.Len)
	if _, err := payload.From.ReadAt(b, payload.At); err != nil {
		return nil, &mtproto.PayloadError{Err: err}
	}
	q = kept(q)
	switch q := q.(type) {
	case *api.UploadSaveFilePartRequest:
		q.Bytes = b
	case *api.UploadSaveBigFilePartRequest:
		q.Bytes = b
	}
	return s.Invoke(ctx, q)
}

type fakeResponse struct {
	f    *fake
	body []byte
	done bool
}

func (r *fakeResponse) Body() []byte { return r.body }

// Release spoils the buffer, so that whoever still uses it is found out.
func (r *fakeResponse) Release() {
	r.f.mu.Lock()
	defer r.f.mu.Unlock()
	if r.done {
		panic("released twice")
	}
	r.done = true
	r.f.buffers--
	clear(r.body)
}

func rpcError(code int, message, method string) error {
	return mtproto.ParseRPCError(code, message, method)
}

// waitError is what a server answers that wants a wait.
func waitError(d time.Duration) error {
	return rpcError(420, fmt.Sprintf("FLOOD_WAIT_%d", int(d.Seconds())), "upload.getFile")
}

func (f *fake) serve(r request) (tl.Object, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	name := r.q.TypeName()
	switch q := r.q.(type) {
	case *api.UploadGetFileRequest:
		loc := q.Location.(*api.InputDocumentFileLocation)
		file := f.files[loc.ID]
		switch {
		case file.dc != r.dc:
			return nil, rpcError(303, fmt.Sprintf("FILE_MIGRATE_%d", file.dc), name)
		case string(loc.FileReference) != file.ref:
			return nil, rpcError(400, "FILE_REFERENCE_EXPIRED", name)
		case q.Offset%4096 != 0 || q.Limit%4096 != 0 || 1<<20%q.Limit != 0:
			return nil, rpcError(400, "LIMIT_INVALID", name)
		case q.CdnSupported && file.cdn != 0:
			return f.redirect(file), nil
		}
		return &api.UploadFile{Type: &api.Other{Raw: tl.Raw{0x05, 0x3b, 0x96, 0xaa}}, Bytes: slice(file.data, q.Offset, q.Limit)}, nil
	case *api.UploadGetCdnFileRequest:
		return f.serveCDN(q)
	case *api.UploadReuploadCdnFileRequest:
		file := f.byToken(q.FileToken)
		file.cdnHas = true
		return hashVector(hashesOf(file.data, 0)), nil
	case *api.UploadGetCdnFileHashesRequest:
		return hashVector(hashesOf(f.byToken(q.FileToken).data, q.Offset)), nil
	case *api.UploadGetFileHashesRequest:
		file := f.files[q.Location.(*api.InputDocumentFileLocation).ID]
		if file.dc != r.dc {
			return nil, rpcError(303, fmt.Sprintf("FILE_MIGRATE_%d", file.dc), name)
		}
		return hashVector(hashesOf(file.data, q.Offset)), nil
	case *api.UploadSaveFilePartRequest:
		f.save(q.FileID, int(q.FilePart), q.Bytes)
		return boolTrue{}, nil
	case *api.UploadSaveBigFilePartRequest:
		f.save(q.FileID, int(q.FilePart), q.Bytes)
		return boolTrue{}, nil
	}
	return nil, rpcError(400, "INPUT_METHOD_INVALID", name)
}

func (f *fake) save(id int64, part int, b []byte) {
	if f.uploads[id] == nil {
		f.uploads[id] = make(map[int][]byte)
	}
	f.uploads[id][part] = bytes.Clone(b)
}

// uploaded joins the parts of an upload.
func (f *fake) uploaded(id int64) []byte {
	var all []byte
	for n := range len(f.uploads[id]) {
		all = append(all, f.uploads[id][n]...)
	}
	return all
}

func slice(data []byte, offset int64, limit int32) []byte {
	from := min(offset, int64(len(data)))
	return data[from:min(from+int64(limit), int64(len(data)))]
}

var (
	cdnKey = bytes.Repeat([]byte{7}, 32)
	cdnIV  = bytes.Repeat([]byte{9}, 16)
)

func (f *fake) redirect(file *fakeFile) tl.Object {
	r := &api.UploadFileCdnRedirect{
		DCID: int32(file.cdn), FileToken: []byte{byte(file.ID)}, EncryptionKey: cdnKey, EncryptionIv: cdnIV,
	}
	if !file.noHashes {
		r.FileHashes = hashesOf(file.data, 0)
	}
	return r
}

func (f *fake) byToken(token []byte) *fakeFile { return f.files[int64(token[0])] }

func (f *fake) serveCDN(q *api.UploadGetCdnFileRequest) (tl.Object, error) {
	file := f.byToken(q.FileToken)
	if !file.cdnHas {
		return &api.UploadCdnFileReuploadNeeded{RequestToken: []byte("please")}, nil
	}
	data := bytes.Clone(slice(file.data, q.Offset, q.Limit))
	if err := crypto.CDNCrypt(cdnKey, cdnIV, q.Offset, data); err != nil {
		return nil, err
	}
	if f.onCDNAnswer != nil {
		f.onCDNAnswer(data)
	}
	return &api.UploadCdnFile{Bytes: data}, nil
}

// hashesOf are those of up to 10 blocks of 128 KiB from an offset on.
func hashesOf(data []byte, offset int64) []api.FileHash {
	var hashes []api.FileHash
	for at := offset / maxHashBlock * maxHashBlock; at < int64(len(data)) && len(hashes) < 10; at += maxHashBlock {
		b := slice(data, at, maxHashBlock)
		sum := sha256.Sum256(b)
		hashes = append(hashes, api.FileHash{Offset: at, Limit: int32(len(b)), Hash: sum[:]})
	}
	return hashes
}

type boolTrue struct{}

func (boolTrue) TypeID() uint32       { return tl.BoolTrueID }
func (boolTrue) TypeName() string     { return "boolTrue" }
func (boolTrue) Encode(e *tl.Encoder) { e.Bool(true) }

type hashVector []api.FileHash

func (hashVector) TypeID() uint32   { return tl.VectorID }
func (hashVector) TypeName() string { return "vector" }
func (v hashVector) Encode(e *tl.Encoder) {
	e.Vector(len(v))
	for i := range v {
		v[i].Encode(e)
	}
}

// A bench is a folder, a checkpoint and an engine for the fake.
type bench struct {
	*fake
	dir    string
	root   *os.Root
	cp     *checkpoint.Memory
	events []Event
	opts   Options
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{fake: newFake(t), dir: t.TempDir(), cp: checkpoint.NewMemory()}
	root, err := os.OpenRoot(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	b.root = root
	b.opts = Options{Checkpoint: b.cp, Events: func(e Event) { b.events = append(b.events, e) }}
	return b
}

// all lists every file of the fake, in order of id.
func (b *bench) all() iter.Seq2[Download, error] {
	var ids []int64
	for id := range b.files {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return b.some(ids...)
}

func (b *bench) some(ids ...int64) iter.Seq2[Download, error] {
	return func(yield func(Download, error) bool) {
		for _, id := range ids {
			b.mu.Lock()
			file := b.files[id].File
			b.mu.Unlock()
			if !yield(Download{File: file, Dir: b.root}, nil) {
				return
			}
		}
	}
}

func (b *bench) download(files iter.Seq2[Download, error]) (*Report, error) {
	return NewFor(b, b.opts).Download(b.t.Context(), files)
}

// stopAt runs a download for a time.
func (b *bench) stopAt(d time.Duration) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), d)
	defer cancel()
	if _, err := NewFor(b, b.opts).Download(ctx, b.all()); !errors.Is(err, context.DeadlineExceeded) {
		b.t.Fatalf("interrupted run: %v", err)
	}
}

// mustDownload fails the test unless every file is done.
func (b *bench) mustDownload() *Report {
	b.t.Helper()
	report, err := b.download(b.all())
	if err != nil {
		b.t.Fatalf("Download: %v", err)
	}
	for _, f := range report.Failed {
		b.t.Errorf("%s failed: %v", f.Path, f.Err)
	}
	b.checkDone(report)
	return report
}

// checkDone compares what is on disk with what the fake has.
func (b *bench) checkDone(report *Report) {
	b.t.Helper()
	for _, res := range report.Done {
		want := b.files[res.ID].data
		got, err := os.ReadFile(filepath.Join(b.dir, res.Path))
		if err != nil || !bytes.Equal(got, want) {
			b.t.Errorf("%s: %d bytes, %v; want the %d of the server", res.Path, len(got), err, len(want))
		}
		if res.SHA256 != sha256.Sum256(want) {
			b.t.Errorf("%s: SHA-256 %x, want %x", res.Path, res.SHA256, sha256.Sum256(want))
		}
		if _, err := os.Stat(filepath.Join(b.dir, res.Path+partSuffix)); !errors.Is(err, os.ErrNotExist) {
			b.t.Errorf("%s is left over: %v", res.Path+partSuffix, err)
		}
	}
}

// failed is the one file of the report that failed.
func (b *bench) failed(report *Report) FileResult {
	b.t.Helper()
	if len(report.Failed) != 1 {
		b.t.Fatalf("%d files failed, want 1: %v", len(report.Failed), report.Failed)
	}
	return report.Failed[0]
}

// getFiles are the requests for parts, those to CDNs included.
func (b *bench) getFiles() []request {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []request
	for _, r := range b.requests {
		switch r.q.(type) {
		case *api.UploadGetFileRequest, *api.UploadGetCdnFileRequest:
			list = append(list, r)
		}
	}
	return list
}
