package follow_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/telegram/selection"
	"github.com/tghaul/haul/transfer"
	"github.com/tghaul/haul/transfer/archive"
	"github.com/tghaul/haul/transfer/archive/follow"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A rig is a client of a cluster, with a place for archives.
type rig struct {
	t       *testing.T
	cluster *dctest.Cluster
	client  *telegram.Client
	source  *source
	peer    telegram.Peer
	dir     string
	store   *checkpoint.Memory
	touched *follow.Touched // nil: updates tell nothing
}

type code struct{}

func (code) Code(context.Context, telegram.CodeRequest) (string, error) { return dctest.Code, nil }
func (code) Password(context.Context, telegram.PasswordRequest) (string, error) {
	return "", errors.New("no password")
}

// A source is a client that may be made to answer otherwise.
type source struct {
	*telegram.Client
	mu         sync.Mutex
	difference func(pts int) (telegram.Difference, error) // nil: ask
	change     func(m *telegram.Message)                  // what it lists; nil: nothing
}

func (s *source) Messages(ctx context.Context, p telegram.Peer, o telegram.MessagesOptions) iter.Seq2[*telegram.Message, error] {
	return func(yield func(*telegram.Message, error) bool) {
		for m, err := range s.Client.Messages(ctx, p, o) {
			if err == nil && s.change != nil {
				s.change(m)
			}
			if !yield(m, err) {
				return
			}
		}
	}
}

func (s *source) ChannelDifference(ctx context.Context, p telegram.Peer, pts int) (telegram.Difference, error) {
	s.mu.Lock()
	f := s.difference
	s.mu.Unlock()
	if f != nil {
		return f(pts)
	}
	return s.Client.ChannelDifference(ctx, p, pts)
}

func (s *source) answer(f func(pts int) (telegram.Difference, error)) {
	s.mu.Lock()
	s.difference = f
	s.mu.Unlock()
}

// newRig signs a user in.
func newRig(t *testing.T, cfg dctest.Config) *rig {
	t.Helper()
	cfg.InMemory = true
	cluster, err := dctest.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.Close() })
	doc, err := json.Marshal(cluster.Datacenters())
	if err != nil {
		t.Fatal(err)
	}
	dcs, err := telegram.ParseDatacenters(doc)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, cluster: cluster, dir: t.TempDir(), store: checkpoint.NewMemory()}
	r.client, err = telegram.Dial(t.Context(), telegram.Config{
		AppID: 1, AppHash: "x", Datacenters: dcs, Dial: cluster.Dial,
		OnTouched: func(channels []int64, others bool) {
			if r.touched != nil {
				r.touched.Signal(channels, others)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.client.Close() })
	if _, err := r.client.LoginPhone(t.Context(), dctest.Phone, code{}); err != nil {
		t.Fatal(err)
	}
	if r.peer, err = r.client.Resolve(t.Context(), "@"+dctest.BigChannel); err != nil {
		t.Fatal(err)
	}
	r.source = &source{Client: r.client}
	return r
}

// A job says how a run goes.
type job struct {
	s     selection.Selection
	o     follow.Options
	watch bool
	peers []telegram.Peer // the channel if nil
	on    func(transfer.Event)
}

// run does what haul archive does.
func (r *rig) run(ctx context.Context, j job) (*transfer.Report, error) {
	r.t.Helper()
	folders := map[int64]*archive.Archive{}
	defer func() {
		for _, f := range folders {
			if err := f.Close(); err != nil {
				r.t.Error(err)
			}
		}
	}()
	var e *transfer.Engine
	j.o.Selection, j.o.Pass = &j.s, selection.NewPass(&j.s, r.source)
	j.o.Folder = func(p telegram.Peer) (*archive.Archive, error) {
		if f := folders[p.MarkedID()]; f != nil {
			return f, nil
		}
		f, err := archive.Open(r.dir, p)
		folders[p.MarkedID()] = f
		return f, err
	}
	j.o.Room = func(ctx context.Context, write func() error) error { return e.WhenRoom(ctx, write) }
	if j.on == nil {
		j.on = func(transfer.Event) {}
	}
	j.o.Events = j.on
	if j.peers == nil {
		j.peers = []telegram.Peer{r.peer}
	}
	var chats []*follow.Chat
	for _, p := range j.peers {
		f, err := j.o.Folder(p)
		if err != nil {
			r.t.Fatal(err)
		}
		chats = append(chats, follow.New(r.source, p, f, j.o))
	}
	e = transfer.New(r.client, transfer.Options{Checkpoint: r.store, Events: func(ev transfer.Event) {
		j.on(ev)
		for _, c := range chats {
			c.FileEvent(ev)
		}
	}})
	report, err := e.Download(ctx, func(yield func(transfer.Download, error) bool) {
		var lists []iter.Seq2[transfer.Download, error]
		for _, c := range chats {
			lists = append(lists, c.FirstPass(ctx))
		}
		if j.watch {
			lists = append(lists, follow.Watch(ctx, chats, r.touched))
		}
		for _, list := range lists {
			for d, err := range list {
				if !yield(d, err) || err != nil {
					return
				}
			}
		}
	})
	for _, c := range chats {
		err = errors.Join(err, c.Finish())
	}
	return report, err
}

// must is run for one that has to come to its end.
func (r *rig) must(j job) *transfer.Report {
	r.t.Helper()
	report, err := r.run(r.t.Context(), j)
	if err != nil {
		r.t.Fatal(err)
	}
	return report
}

// calls counts the requests of a method.
func (r *rig) calls(method string) (n int64) {
	for _, at := range r.cluster.Stats().Methods[method] {
		n += at.Requests
	}
	return n
}

// folder is the archive of the channel.
func (r *rig) folder() string { return filepath.Join(r.dir, dctest.BigChannel) }

// entries are the files of the manifest in a folder, by message, each of which
// must be there.
func (r *rig) entries(folder string) map[int][]archive.Entry {
	r.t.Helper()
	files := map[int][]archive.Entry{}
	eachLine(r.t, filepath.Join(folder, archive.ManifestName), func(e archive.Entry) {
		files[e.Message] = append(files[e.Message], e)
		fi, err := os.Stat(filepath.Join(folder, filepath.FromSlash(e.Path)))
		if err != nil || fi.Size() != e.Size {
			r.t.Errorf("file %s: %v", e.Path, err)
		}
	})
	return files
}

type line struct {
	Name    string `json:"_"`
	ID      int    `json:"id"`
	Message string `json:"message"`
	Edited  int64  `json:"edit_date"`
}

// lines are those of messages.jsonl, by message: "text", "text*" if edited, and
// "gone".
func (r *rig) lines(folder string) map[int][]string {
	r.t.Helper()
	all := map[int][]string{}
	eachLine(r.t, filepath.Join(folder, archive.MessagesName), func(l line) {
		text := l.Message
		switch {
		case l.Name == archive.DeletedName:
			text = "gone"
		case l.Edited != 0:
			text += "*"
		}
		all[l.ID] = append(all[l.ID], text)
	})
	return all
}

func eachLine[T any](t *testing.T, path string, use func(T)) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // only read
	scan := bufio.NewScanner(f)
	scan.Buffer(nil, 1<<20)
	for scan.Scan() {
		var v T
		if err := json.Unmarshal(scan.Bytes(), &v); err != nil {
			t.Fatalf("%s: %v in %s", path, err, scan.Bytes())
		}
		use(v)
	}
}

// whole checks that the archive has what the cluster has, and each once.
func (r *rig) whole() {
	r.t.Helper()
	files, lines := r.entries(r.folder()), r.lines(r.folder())
	for _, f := range r.cluster.Files() {
		if f.Channel != dctest.BigChannel {
			continue
		}
		is := func(e archive.Entry) bool { return e.Document == f.ID && e.SHA256 == f.SHA256 }
		if len(files[f.MessageID]) != 1 || !slices.ContainsFunc(files[f.MessageID], is) {
			r.t.Errorf("message %d has the files %+v, want one, %s", f.MessageID, files[f.MessageID], f.SHA256)
		}
	}
	for id := 1; id <= r.cluster.LastMessage(dctest.BigChannel); id++ {
		if len(lines[id]) != 1 {
			r.t.Errorf("message %d has the lines %q, want one", id, lines[id])
		}
	}
}

func channel(documents, texts int) dctest.Config {
	return dctest.Config{Channels: []dctest.ChannelConfig{{Username: dctest.BigChannel, Files: []dctest.FileSpec{
		{Kind: "document", Count: documents, MinSize: 100, MaxSize: 900}, {Kind: "text", Count: texts},
	}}}}
}

func document(text string) dctest.Post { return dctest.Post{Text: text, Kind: "document", Size: 250} }

func (r *rig) ok(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) post(posts ...dctest.Post) int {
	r.t.Helper()
	id, err := r.cluster.Post(dctest.BigChannel, posts...)
	r.ok(err)
	return id
}

func wantLines(t *testing.T, got map[int][]string, want map[int][]string) {
	t.Helper()
	for id, lines := range want {
		if !slices.Equal(got[id], lines) {
			t.Errorf("message %d has the lines %q, want %q", id, got[id], lines)
		}
	}
}
