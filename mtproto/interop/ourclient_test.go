package interop

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"iter"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/gotd/td/tg"
	"github.com/gotd/td/tgerr"
	"github.com/gotd/td/tgtest"
	"github.com/gotd/td/tgtest/cluster"
	"golang.org/x/sync/errgroup"

	"github.com/tghaul/haul/mtproto/transport"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/transfer"
)

const (
	theirDC     = 2
	theirToken  = "1:theirs"
	theirUser   = 1
	theirChan   = 4242
	theirHash   = 99
	theirFileID = 777
)

// theirServer is gotd's test cluster with the handlers that a transfer needs.
// Its MTProto side is all gotd's; here is only what it would answer.
type theirServer struct {
	content []byte // of the file that can be downloaded

	mu    sync.Mutex
	parts map[int64]map[int][]byte
	sent  []byte // the file that was uploaded and sent
}

func (s *theirServer) user() *tg.User {
	u := &tg.User{Self: true, Bot: true, ID: theirUser}
	u.SetAccessHash(1)
	u.SetFirstName("Bot")
	return u
}

func (s *theirServer) channel() *tg.Channel {
	c := &tg.Channel{Broadcast: true, ID: theirChan, Title: "Theirs", Photo: &tg.ChatPhotoEmpty{}}
	c.SetAccessHash(theirHash)
	c.SetUsername("theirs")
	return c
}

func (s *theirServer) message(id int, size int) *tg.Message {
	m := &tg.Message{Post: true, ID: id, PeerID: &tg.PeerChannel{ChannelID: theirChan}, Date: 1_700_000_000, Message: "a file"}
	media := &tg.MessageMediaDocument{}
	media.SetDocument(&tg.Document{
		ID: theirFileID + int64(id), AccessHash: 5, FileReference: []byte{1}, Date: 1_700_000_000, MimeType: "application/octet-stream",
		Size: int64(size), DCID: theirDC, Attributes: []tg.DocumentAttributeClass{&tg.DocumentAttributeFilename{FileName: "theirs.bin"}},
	})
	m.SetMedia(media)
	return m
}

// register gives the cluster its handlers.
func (s *theirServer) register(d *tgtest.Dispatcher) {
	d.HandleFunc(tg.AuthImportBotAuthorizationRequestTypeID, func(server *tgtest.Server, req *tgtest.Request) error {
		return server.SendResult(req, &tg.AuthAuthorization{User: s.user()})
	})
	d.HandleFunc(tg.UsersGetUsersRequestTypeID, func(server *tgtest.Server, req *tgtest.Request) error {
		return server.SendVector(req, s.user())
	})
	d.HandleFunc(tg.ContactsResolveUsernameRequestTypeID, func(server *tgtest.Server, req *tgtest.Request) error {
		return server.SendResult(req, &tg.ContactsResolvedPeer{Peer: &tg.PeerChannel{ChannelID: theirChan}, Chats: []tg.ChatClass{s.channel()}})
	})
	d.HandleFunc(tg.ChannelsGetMessagesRequestTypeID, func(server *tgtest.Server, req *tgtest.Request) error {
		return server.SendGZIP(req, &tg.MessagesChannelMessages{
			Pts: 2, Count: 1, Messages: []tg.MessageClass{s.message(1, len(s.content))}, Chats: []tg.ChatClass{s.channel()},
		})
	})
	d.HandleFunc(tg.UploadGetFileRequestTypeID, s.getFile)
	d.HandleFunc(tg.UploadSaveFilePartRequestTypeID, func(server *tgtest.Server, req *tgtest.Request) error {
		var q tg.UploadSaveFilePartRequest
		if err := q.Decode(req.Buf); err != nil {
			return err
		}
		s.save(q.FileID, q.FilePart, q.Bytes)
		return server.SendBool(req, true)
	})
	d.HandleFunc(tg.UploadSaveBigFilePartRequestTypeID, func(server *tgtest.Server, req *tgtest.Request) error {
		var q tg.UploadSaveBigFilePartRequest
		if err := q.Decode(req.Buf); err != nil {
			return err
		}
		s.save(q.FileID, q.FilePart, q.Bytes)
		return server.SendBool(req, true)
	})
	d.HandleFunc(tg.MessagesSendMediaRequestTypeID, s.sendMedia)
}

func (s *theirServer) getFile(server *tgtest.Server, req *tgtest.Request) error {
	var q tg.UploadGetFileRequest
	if err := q.Decode(req.Buf); err != nil {
		return err
	}
	loc, ok := q.Location.(*tg.InputDocumentFileLocation)
	if !ok || loc.ID != theirFileID+1 || loc.AccessHash != 5 {
		return tgerr.New(400, tg.ErrFileIDInvalid)
	}
	from := min(int(q.Offset), len(s.content))
	to := min(from+q.Limit, len(s.content))
	return server.SendResult(req, &tg.UploadFile{Type: &tg.StorageFilePartial{}, Bytes: s.content[from:to]})
}

func (s *theirServer) save(file int64, part int, b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.parts[file] == nil {
		s.parts[file] = map[int][]byte{}
	}
	s.parts[file][part] = bytes.Clone(b)
}

func (s *theirServer) sendMedia(server *tgtest.Server, req *tgtest.Request) error {
	var q tg.MessagesSendMediaRequest
	if err := q.Decode(req.Buf); err != nil {
		return err
	}
	media, ok := q.Media.(*tg.InputMediaUploadedDocument)
	if !ok {
		return tgerr.New(400, tg.ErrMediaInvalid)
	}
	var id int64
	var parts int
	switch f := media.File.(type) {
	case *tg.InputFile:
		id, parts = f.ID, f.Parts
	case *tg.InputFileBig:
		id, parts = f.ID, f.Parts
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = nil
	for n := range parts {
		b, ok := s.parts[id][n]
		if !ok {
			return tgerr.New(400, fmt.Sprintf("FILE_PART_%d_MISSING", n))
		}
		s.sent = append(s.sent, b...)
	}
	return server.SendResult(req, &tg.Updates{
		Updates: []tg.UpdateClass{
			&tg.UpdateMessageID{ID: 2, RandomID: q.RandomID},
			&tg.UpdateNewChannelMessage{Message: s.message(2, len(s.sent)), Pts: 3, PtsCount: 1},
		},
		Chats: []tg.ChatClass{s.channel()}, Date: 1_700_000_000,
	})
}

// TestOurClientTheirCluster lets haul sign in, download and upload at gotd's server.
func TestOurClientTheirCluster(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	server := &theirServer{content: randomBytes(t, 3<<20+4321), parts: map[int64]map[int][]byte{}}
	c := cluster.NewCluster(cluster.Options{})
	server.register(c.Dispatch(theirDC, "theirs"))
	var running errgroup.Group
	running.Go(func() error { return c.Up(ctx) })
	defer func() {
		cancel()
		if err := running.Wait(); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("their cluster: %v", err)
		}
	}()
	select {
	case <-c.Ready():
	case <-ctx.Done():
		t.Fatal("their cluster does not start")
	}

	client, err := telegram.Dial(ctx, telegram.Config{
		AppID: 1, AppHash: "hash", Session: new(telegram.MemorySession), Datacenters: datacentersOf(t, c),
		Framing: transport.Intermediate, Plain: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	if _, err := client.LoginBot(ctx, theirToken); err != nil {
		t.Fatal(err)
	}
	peer, err := client.Resolve(ctx, "@theirs")
	if err != nil {
		t.Fatal(err)
	}
	engine := transfer.New(client, transfer.Options{Connections: 2, PartSize: 512 << 10})
	t.Run("download", func(t *testing.T) { downloadTheirs(ctx, t, client, engine, peer, server) })
	for _, size := range []int{100_000, 11<<20 + 17} {
		t.Run("upload "+strconv.Itoa(size), func(t *testing.T) { uploadToTheirs(ctx, t, engine, peer, server, size) })
	}
}

func downloadTheirs(ctx context.Context, t *testing.T, client *telegram.Client, engine *transfer.Engine, peer telegram.Peer, server *theirServer) {
	var files []telegram.File
	for m, err := range client.Messages(ctx, peer, telegram.MessagesOptions{IDs: []int{1}}) {
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, m.Files...)
	}
	if len(files) != 1 {
		t.Fatalf("got %d files, want 1", len(files))
	}
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = root.Close() }()
	report, err := engine.Download(ctx, one(transfer.Download{File: files[0], Dir: root, Path: "theirs.bin"}))
	if err != nil || report.FilesDone != 1 {
		t.Fatalf("got %+v, %v, want one file done", report, err)
	}
	got, err := root.ReadFile("theirs.bin")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, server.content) || report.Done[0].SHA256 != sha256.Sum256(server.content) {
		t.Errorf("got %d bytes that differ from the %d of the server", len(got), len(server.content))
	}
}

func uploadToTheirs(ctx context.Context, t *testing.T, engine *transfer.Engine, peer telegram.Peer, server *theirServer, size int) {
	data := randomBytes(t, size)
	path := filepath.Join(t.TempDir(), "ours.bin")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	report, err := engine.Upload(ctx, one(transfer.Upload{Path: path, To: peer}))
	if err != nil || report.FilesDone != 1 {
		t.Fatalf("got %+v, %v, want one file done", report, err)
	}
	server.mu.Lock()
	defer server.mu.Unlock()
	if !bytes.Equal(server.sent, data) {
		t.Errorf("the server got %d bytes that differ from the %d sent", len(server.sent), len(data))
	}
}

func one[T any](v T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) { yield(v, nil) }
}

func randomBytes(t *testing.T, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return b
}

// datacentersOf tells haul of gotd's cluster: addresses and RSA keys.
func datacentersOf(t *testing.T, c *cluster.Cluster) *telegram.Datacenters {
	t.Helper()
	d := &telegram.Datacenters{Name: "theirs", HomeDC: theirDC}
	for _, o := range c.List().Options {
		d.DC = append(d.DC, telegram.DC{ID: o.ID, Address: net.JoinHostPort(o.IPAddress, strconv.Itoa(o.Port))})
	}
	for _, k := range c.Keys() {
		der := x509.MarshalPKCS1PublicKey((*rsa.PublicKey)(k.RSA))
		d.PublicKeys = append(d.PublicKeys, string(pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: der})))
	}
	return d
}
