package interop

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gotd/td/session"
	theirs "github.com/gotd/td/telegram"
	"github.com/gotd/td/telegram/auth"
	"github.com/gotd/td/tg"

	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/telegram/foreign"
	"github.com/tghaul/haul/transfer"
)

// TestImportTheirs lets gotd sign in and keep its session in a file; haul
// imports that file, and the same key as Telethon's own code writes it, and
// fetches files with it.
func TestImportTheirs(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cluster, err := dctest.Start(ctx, dctest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.Close() })

	dir := t.TempDir()
	options := clientOptions(t, cluster)
	options.SessionStorage = &session.FileStorage{Path: filepath.Join(dir, "gotd.json")}
	client := theirs.NewClient(1, "0123456789abcdef0123456789abcdef", options)
	err = client.Run(ctx, func(ctx context.Context) error {
		return client.Auth().IfNecessary(ctx, auth.NewFlow(auth.CodeOnly(dctest.Phone, auth.CodeAuthenticatorFunc(
			func(context.Context, *tg.AuthSentCode) (string, error) { return dctest.Code, nil },
		)), auth.SendCodeOptions{}))
	})
	if err != nil {
		t.Fatal(err)
	}
	list, err := foreign.Open(os.DirFS(dir), "gotd.json", nil)
	if err != nil || len(list) != 1 {
		t.Fatalf("got %d sessions, %v", len(list), err)
	}
	if list[0].Environment != foreign.Test {
		t.Errorf("environment is %v, want test", list[0].Environment)
	}
	t.Run("gotd", func(t *testing.T) { useImported(ctx, t, cluster, list[0]) })
	t.Run("Telethon", func(t *testing.T) {
		for name, s := range telethonSessions(ctx, t, dir, list[0], cluster) {
			t.Run(name, func(t *testing.T) { useImported(ctx, t, cluster, s) })
		}
	})
}

// telethonSessions are the session as Telethon's code writes it. Without Python
// and Telethon (Debian: python3-telethon) there are none, unless HAUL_TELETHON
// says that there must be.
func telethonSessions(ctx context.Context, t *testing.T, dir string, s foreign.Session, cluster *dctest.Cluster) map[string]foreign.Session {
	t.Helper()
	host, port, err := net.SplitHostPort(cluster.Datacenters().DC[0].Address) // gotd leaves it out
	if err != nil {
		t.Fatal(err)
	}
	key := s.Keys[s.DC].Bytes()
	file := filepath.Join(dir, "telethon")
	cmd := exec.CommandContext(ctx, "python3", filepath.Join("testdata", "write_session.py"), file, strconv.Itoa(s.DC), host, port)
	cmd.Stdin = strings.NewReader(hex.EncodeToString(key[:]))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	text, err := cmd.Output()
	if err != nil {
		if os.Getenv("HAUL_TELETHON") == "" && (stderr.Len() == 0 || strings.Contains(stderr.String(), "No module named 'telethon'")) {
			t.Skip("there is no Telethon here; make interop-telethon demands it")
		}
		t.Fatalf("%v: %s", err, stderr.String())
	}
	fromString, err := foreign.ParseText(string(text))
	if err != nil {
		t.Fatal(err)
	}
	fromFile, err := foreign.Open(os.DirFS(dir), "telethon.session", nil)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]foreign.Session{"string": fromString, "SQLite": fromFile[0]}
}

// useImported asks who is signed in and archives some files of two DCs.
func useImported(ctx context.Context, t *testing.T, cluster *dctest.Cluster, s foreign.Session) {
	t.Helper()
	store := new(telegram.MemorySession)
	if err := store.Save(telegram.NewSession(true, s.DC, map[int]*crypto.AuthKey{s.DC: s.Keys[s.DC]}, s.Peers)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "dc.json")
	if err := cluster.Datacenters().WriteFile(file); err != nil {
		t.Fatal(err)
	}
	datacenters, err := telegram.LoadDatacenters(file)
	if err != nil {
		t.Fatal(err)
	}
	client, err := telegram.Dial(ctx, telegram.Config{AppID: 1, AppHash: "hash", Session: store, Datacenters: datacenters})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	user, err := client.Self(ctx)
	if err != nil || user.Bot {
		t.Fatalf("signed in as %v, %v", user, err)
	}
	peer, err := client.Resolve(ctx, "@"+dctest.BigChannel)
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = root.Close() }()
	byDC := map[int]int{}
	report, err := transfer.New(client, transfer.Options{}).Download(ctx, func(yield func(transfer.Download, error) bool) {
		for m, err := range client.Messages(ctx, peer, telegram.MessagesOptions{}) {
			if err != nil {
				yield(transfer.Download{}, err)
				return
			}
			for _, f := range m.Files {
				if f.Err != nil || f.NoForwards || f.Size > 2<<20 || byDC[f.DC] == 3 {
					continue
				}
				byDC[f.DC]++
				if !yield(transfer.Download{File: f, Dir: root, Path: fmt.Sprintf("%d.bin", f.ID)}, nil) {
					return
				}
			}
		}
	})
	if err != nil || len(byDC) < 2 || report.FilesDone < 4 || report.FilesFailed != 0 {
		t.Fatalf("got %+v of DCs %v, %v", report, byDC, err)
	}
	want := map[string]bool{}
	for _, f := range cluster.Files() {
		want[f.SHA256] = true
	}
	for _, d := range report.Done {
		if sum := hex.EncodeToString(d.SHA256[:]); !want[sum] {
			t.Errorf("%s has SHA-256 %s, which is none of the cluster's", d.Path, sum)
		}
	}
}
