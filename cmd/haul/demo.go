package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/transfer/archive"
)

const (
	demoDir    = "haul-demo"
	demoMark   = ".haul-demo" // tells our folder from others
	demoUpload = 25 << 20     // bytes of the file that is uploaded and fetched back
	demoChat   = "@" + dctest.BigChannel
)

func demoCommand() *cli.Command {
	return &cli.Command{
		Name: "demo", Usage: "archive a channel of a simulated Telegram: no account, no network", OnUsageError: usageError,
		Description: "Starts a cluster, signs in, archives a channel through flood waits, expiring references and lost\n" +
			"connections, uploads a file and fetches it back, and verifies every SHA-256.\n\nExample:\n   haul demo --dir /tmp/haul-demo",
		Flags:  []cli.Flag{stringFlag("dir", demoDir, "leave the archive in this `DIR`", "d")},
		Action: demo,
	}
}

// demoScenario is a channel of a few hundred media on four DCs, with some of
// what goes wrong at the real one.
func demoScenario() dctest.Config {
	return dctest.Config{
		DCs: []dctest.DCConfig{{ID: 1}, {ID: 2}, {ID: 4, MediaOnly: true}, {ID: 5}, {ID: 203, CDN: true}},
		Channels: []dctest.ChannelConfig{{
			Username: dctest.BigChannel, Title: "The big channel", Specials: true,
			Files: []dctest.FileSpec{
				{Kind: "photo", Count: 120, MinSize: 60 << 10, MaxSize: 400 << 10, DC: 4},
				{Kind: "video", Count: 16, MinSize: 2 << 20, MaxSize: 8 << 20, DC: 4},
				{Kind: "document", Count: 70, MinSize: 2 << 10, MaxSize: 1 << 20},
				{Kind: "voice", Count: 30, MinSize: 10 << 10, MaxSize: 80 << 10, DC: 1},
				{Kind: "audio", Count: 8, MinSize: 1 << 20, MaxSize: 3 << 20, DC: 5},
				{Kind: "document", Count: 1, MinSize: 160 << 20, MaxSize: 160 << 20, DC: 5},
				{Kind: "document", Count: 2, MinSize: 10 << 20, MaxSize: 14 << 20, DC: 1, CDN: true},
				{Kind: "text", Count: 40},
			},
		}},
		Faults: []dctest.Fault{
			{Kind: "flood_wait", At: []int64{90}, Seconds: 2},
			{Kind: "file_reference_expired", At: []int64{30, 140}},
			{Kind: "reset", At: []int64{60, 200}},
			{Kind: "short_part", At: []int64{110}},
			{Kind: "bad_salt", At: []int64{300}},
		},
	}
}

func demo(c *cli.Context) (err error) {
	if err := applyCommandConfig(c); err != nil {
		return err
	}
	start := time.Now()
	dir, err := demoFolder(c.String("dir"))
	if err != nil {
		return err
	}
	state, err := os.MkdirTemp("", "haul-demo-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(state)) }()
	say(c, "starting a simulated Telegram of five data centers")
	cluster, err := dctest.Start(context.WithoutCancel(c.Context), demoScenario())
	if err != nil {
		return err
	}
	defer cluster.Close() //nolint:errcheck // it keeps nothing
	d := &demonstration{c: c, cluster: cluster, dir: dir, state: state, dcFile: filepath.Join(state, "dc.json")}
	if err := cluster.Datacenters().WriteFile(d.dcFile); err != nil {
		return err
	}
	if err := d.run(); err != nil {
		return err
	}
	stats := cluster.Stats()
	say(c, "%s verified, 0 wrong; the cluster issued %s, and got %s inside one; %.1f s in all",
		count(d.verified, "file"), count(int(stats.WaitsIssued), "flood wait"), count(int(stats.RequestsInsideWait), "request"), time.Since(start).Seconds())
	say(c, "look into %s: files, manifest.jsonl and messages.jsonl", filepath.Join(dir, dctest.BigChannel))
	return nil
}

func say(c *cli.Context, format string, args ...any) {
	if !c.Bool("quiet") {
		_, _ = fmt.Fprintf(c.App.ErrWriter, format+"\n", args...)
	}
}

// demoFolder makes the folder, or takes that of an earlier demo, and refuses
// one that holds anything else.
func demoFolder(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	mark := filepath.Join(dir, demoMark)
	if _, err := os.Stat(mark); err != nil && len(entries) > 0 {
		return "", usagef("%s is not empty and not of an earlier demo; choose another --dir", dir)
	}
	for _, e := range entries { // a cluster starts anew each time, and so does the demo
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return "", err
		}
	}
	return dir, os.WriteFile(mark, nil, 0o644)
}

// A demonstration runs haul's own commands against a cluster.
type demonstration struct {
	c        *cli.Context
	cluster  *dctest.Cluster
	dir      string // for the person
	state    string // for the demo, removed afterwards
	dcFile   string
	verified int
}

// haul runs a command as a person would.
func (d *demonstration) haul(args ...string) error {
	app := newApp()
	app.Writer, app.ErrWriter = d.c.App.Writer, d.c.App.ErrWriter
	app.Metadata = map[string]any{dialKey: d.c.App.Metadata[dialKey]}
	// What the person has set for the real Telegram is not for the demo.
	full := []string{
		"haul", "--datacenters", d.dcFile, "--test=false", "--proxy", "", "--no-obfuscation=false", "--transport", "intermediate",
		"--store", filepath.Join(d.state, "store"), "--log-level", "error",
	}
	for _, name := range []string{"json", "quiet", "no-progress"} {
		if d.c.Bool(name) {
			full = append(full, "--"+name)
		}
	}
	return app.RunContext(d.c.Context, flagsFirst(app, append(full, args...)))
}

func (d *demonstration) run() error {
	if err := d.haul("login", "-T", "bot", "--token", dctest.BotToken); err != nil {
		return err
	}
	say(d.c, "archiving %s; the cluster will make haul wait, lose connections and references", demoChat)
	if err := d.haul("archive", "-d", d.dir, "--transfers", "6", demoChat); err != nil {
		return err
	}
	if err := d.verifyArchive(); err != nil {
		return err
	}
	return d.roundTrip()
}

// verifyArchive compares each file on disk, byte for byte by its hash, with
// what the cluster says it is.
func (d *demonstration) verifyArchive() error {
	folder := filepath.Join(d.dir, dctest.BigChannel)
	entries, err := readManifest(filepath.Join(folder, archive.ManifestName))
	if err != nil {
		return err
	}
	got := map[int64]archive.Entry{}
	for _, e := range entries {
		got[e.Document] = e
	}
	for _, f := range d.cluster.Files() {
		e, ok := got[f.ID]
		switch {
		case f.Protected:
			if ok {
				return fmt.Errorf("%s is protected content, but was saved", e.Path)
			}
			continue
		case !ok:
			return fmt.Errorf("file %d of message %d is not in the manifest", f.ID, f.MessageID)
		}
		sum, err := fileSum(filepath.Join(folder, filepath.FromSlash(e.Path)))
		if err != nil {
			return err
		}
		if sum != f.SHA256 || e.SHA256 != f.SHA256 {
			return fmt.Errorf("%s: SHA-256 is %s on disk, %s in the manifest, %s at the cluster", e.Path, sum, e.SHA256, f.SHA256)
		}
		d.verified++
	}
	return nil
}

func readManifest(path string) ([]archive.Entry, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	var list []archive.Entry
	for d := json.NewDecoder(f); ; {
		var e archive.Entry
		switch err := d.Decode(&e); {
		case errors.Is(err, io.EOF):
			return list, nil
		case err != nil:
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		list = append(list, e)
	}
}

// roundTrip uploads a file of noise, fetches it back and compares.
func (d *demonstration) roundTrip() error {
	source := filepath.Join(d.state, "there and back.bin")
	f, err := os.OpenFile(source, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.CopyN(f, rand.Reader, demoUpload)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	say(d.c, "uploading %s and fetching it back", size(demoUpload))
	if err := d.haul("up", "--to", demoChat, "--caption", "there and back", source); err != nil {
		return err
	}
	sent := d.cluster.Uploaded()
	if len(sent) != 1 {
		return fmt.Errorf("the cluster has %d uploads, want 1", len(sent))
	}
	back := filepath.Join(d.dir, "uploaded")
	if err := d.haul("dl", "-d", back, fmt.Sprintf("https://t.me/%s/%d", dctest.BigChannel, d.cluster.LastMessage(dctest.BigChannel))); err != nil {
		return err
	}
	names, err := filepath.Glob(filepath.Join(back, "*.bin"))
	if err != nil || len(names) != 1 {
		return fmt.Errorf("fetched %d files back, want 1", len(names))
	}
	want, err := fileSum(source)
	if err != nil {
		return err
	}
	got, err := fileSum(names[0])
	if err != nil {
		return err
	}
	if got != want || sent[0].SHA256 != want {
		return fmt.Errorf("sent SHA-256 %s, the cluster has %s, %s came back", want, sent[0].SHA256, got)
	}
	d.verified++
	return nil
}

func fileSum(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close() //nolint:errcheck // only read
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
