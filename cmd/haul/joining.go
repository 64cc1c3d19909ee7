package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/tghaul/haul/transfer"
	"github.com/tghaul/haul/transfer/archive"
	"github.com/tghaul/haul/transfer/split"
)

// Files that were sent in pieces become files again: at the end of haul dl, or by
// haul join, of what lies in a folder.

// Events of joining.
type (
	joined struct {
		transfer.Header
		Path   string `json:"path"`
		Size   int64  `json:"size"`
		SHA256 string `json:"sha256"`
		Pieces int    `json:"pieces"`
	}
	notJoined struct { // pieces are missing, which need not be a fault
		transfer.Header
		Path    string `json:"path"` // of the manifest
		Missing int    `json:"missing"`
		Pieces  int    `json:"pieces"`
	}
	joinFailed struct {
		transfer.Header
		Path  string `json:"path"` // of the manifest
		Error string `json:"error"`
	}
	joinDone struct {
		transfer.Header
		Joined int `json:"joined"`
		There  int `json:"there"` // were joined before
		Failed int `json:"failed"`
	}
)

// joiningLine is what these events say in a line.
func joiningLine(e transfer.Event) string {
	switch e := e.(type) {
	case joined:
		return fmt.Sprintf("%s  %s, joined from %d pieces", e.Path, size(e.Size), e.Pieces)
	case notJoined:
		return fmt.Sprintf("not joined: %s: %d of %d pieces are not here", e.Path, e.Missing, e.Pieces)
	case joinFailed:
		return fmt.Sprintf("FAILED to join %s: %s", e.Path, e.Error)
	default:
		return ""
	}
}

func newJoined(name string, m *split.Manifest) joined {
	sum, _ := m.SHA256.MarshalText() // never fails
	return joined{now("joined"), name, m.Size, string(sum), len(m.Pieces)}
}

// readSplit reads a manifest that lies below a folder.
func readSplit(dir *os.Root, name string) (*split.Manifest, error) {
	f, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	b, err := io.ReadAll(io.LimitReader(f, split.MaxManifest+1))
	if err != nil {
		return nil, err
	}
	return split.Parse(b)
}

// A joiner joins what a run of haul dl has fetched.
type joiner struct {
	manifests, pieces []fetchedFile // Finished adds to them, one at a time
}

// A fetchedFile is one that is complete.
type fetchedFile struct {
	transfer.Download
	sum split.Sum
}

// note has a download remembered if it may be a piece or a manifest.
func (j *joiner) note(d *transfer.Download) {
	list := &j.pieces
	if split.IsManifest(d.File.Name) {
		list = &j.manifests
	} else if !split.IsPiece(d.File.Name) {
		return
	}
	file := *d
	d.Finished = func(res transfer.FileResult) error {
		*list = append(*list, fetchedFile{file, split.Sum(res.SHA256)})
		return nil
	}
}

// join joins what can be, and returns what could not although all of it is there.
func (j *joiner) join(ctx context.Context, e *transfer.Engine, show *displays) (failed []transfer.FileResult) {
	for _, about := range j.manifests {
		m, err := readSplit(about.Dir, about.Path)
		if err == nil {
			err = j.joinOne(ctx, e, show, about, m)
		}
		if ctx.Err() != nil {
			return failed
		}
		if err != nil {
			show.event(joinFailed{now("join_failed"), about.Path, text(err)})
			failed = append(failed, transfer.FileResult{
				ID: about.File.ID, Path: about.Path, Size: about.File.Size, Origin: about.File.Origin, Err: err, Retryable: !errors.Is(err, split.ErrManifest),
			})
		}
	}
	return failed
}

func (j *joiner) joinOne(ctx context.Context, e *transfer.Engine, show *displays, about fetchedFile, m *split.Manifest) error {
	var pieces []transfer.Download
	missing := 0
	for _, p := range m.Pieces {
		if d, found := j.pieceOf(about, p); found {
			pieces = append(pieces, d)
		} else {
			missing++
		}
	}
	if missing > 0 {
		show.event(notJoined{now("not_joined"), about.Path, missing, len(m.Pieces)})
		return nil
	}
	target := path.Join(path.Dir(about.Path), transfer.SafeName(strconv.Itoa(about.File.Origin.MessageID)+"_"+m.Name))
	news, err := e.Join(ctx, m, pieces, target)
	if err == nil && news {
		show.event(newJoined(target, m))
	}
	return err
}

// pieceOf finds a piece among what was fetched from the chat of a manifest. If it
// was sent several times, it is the one that the manifest names.
func (j *joiner) pieceOf(about fetchedFile, p split.Piece) (d transfer.Download, found bool) {
	for _, f := range j.pieces {
		same := f.File.Name == p.Name && f.File.Size == p.Size && f.sum == p.SHA256
		if !same || f.File.Origin.Peer.MarkedID() != about.File.Origin.Peer.MarkedID() {
			continue
		}
		if exact := f.File.Origin.MessageID == p.Message; exact || !found {
			d, found = f.Download, true
			if exact {
				return d, true
			}
		}
	}
	return d, found
}

func joinCommand() *cli.Command {
	return &cli.Command{
		Name: "join", Usage: "make files of the pieces that they were sent in", ArgsUsage: "DIR...", OnUsageError: usageError,
		Description: "Looks for manifests (NAME.haul-split.json) in and below the folders, and joins the pieces that lie beside each,\n" +
			"known by their content. Those that are called so are removed once the whole is proven; in an archive they stay, since its\n" +
			"manifest.jsonl names them. haul dl does this by itself.\n\nExample:\n   haul join out",
		Flags: []cli.Flag{boolFlag("keep", "keep the pieces")},
		Action: func(c *cli.Context) error {
			if c.NArg() == 0 {
				return usagef("in which folder? haul join DIR")
			}
			if err := applyCommandConfig(c); err != nil {
				return err
			}
			show, err := newDisplay(c)
			if err != nil {
				return err
			}
			defer show.close()
			return joinFolders(c.Context, c, show)
		},
	}
}

// joinFolders joins what lies in and below folders.
func joinFolders(ctx context.Context, c *cli.Context, show *displays) error {
	sum := joinDone{}
	for _, top := range c.Args().Slice() {
		err := filepath.WalkDir(top, func(name string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() || !split.IsManifest(e.Name()) {
				return err
			}
			switch news, err := joinBeside(ctx, name, c.Bool("keep")); {
			case ctx.Err() != nil:
				return ctx.Err()
			case err != nil:
				sum.Failed++
				show.event(joinFailed{now("join_failed"), name, text(err)})
			case news == nil:
				sum.There++
			default:
				sum.Joined++
				show.event(*news)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	sum.Header = now("join_done")
	show.event(sum)
	show.end()
	if !c.Bool("json") && !c.Bool("quiet") {
		_, _ = fmt.Fprintf(c.App.Writer, "%d joined, %d were there, %d failed\n", sum.Joined, sum.There, sum.Failed)
	}
	if sum.Failed > 0 {
		return &someFailed{failed: sum.Failed, total: sum.Joined + sum.There + sum.Failed}
	}
	return nil
}

// joinBeside joins what a manifest on disk describes, of files in its folder. It
// returns nil if that was done before.
func joinBeside(ctx context.Context, name string, keep bool) (*joined, error) {
	root, err := os.OpenRoot(filepath.Dir(name))
	if err != nil {
		return nil, err
	}
	defer root.Close() //nolint:errcheck // what matters was synced
	m, err := readSplit(root, filepath.Base(name))
	if err != nil {
		return nil, err
	}
	target := strings.TrimSuffix(filepath.Base(name), split.Suffix)
	names, err := piecesBeside(ctx, root, m, target)
	if err != nil {
		return nil, err
	}
	news := newJoined(filepath.Join(filepath.Dir(name), target), m)
	if at := slices.Index(names, ""); at >= 0 {
		fi, err := root.Lstat(target)
		if err == nil && fi.Mode().IsRegular() && fi.Size() == m.Size {
			return nil, nil // joined, and the pieces are gone
		}
		return nil, fmt.Errorf("%s is not here: %w", m.Pieces[at].Name, errors.Join(err, fs.ErrNotExist))
	}
	if _, err := root.Lstat(target); err == nil && keep {
		return nil, nil
	}
	if err := transfer.JoinFiles(ctx, root, m, names, target); err != nil {
		return nil, err
	}
	if keep || inArchive(filepath.Dir(name)) {
		return &news, nil
	}
	for i, p := range m.Pieces {
		if !calledAs(names[i], p) {
			names[i] = "" // somebody's own, of the same content
		}
	}
	return &news, transfer.RemovePieces(ctx, root, m, names)
}

// calledAs reports whether a file is called as a piece, behind whatever haul dl or
// another program has put before its name.
func calledAs(name string, p split.Piece) bool {
	return strings.HasSuffix(name, p.Name) || strings.HasSuffix(name, transfer.SafeName(p.Name))
}

// inArchive reports whether a folder is in an archive, however deep: templates
// put files anywhere below it, and the manifest at its top names them.
func inArchive(dir string) bool {
	dir = absolute(dir)
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	for {
		if _, err := os.Lstat(filepath.Join(dir, archive.ManifestName)); err == nil {
			return true
		}
		up := filepath.Dir(dir)
		if up == dir {
			return false
		}
		dir = up
	}
}

// piecesBeside finds the pieces in a folder, by size and hash, and rather those
// that are called so; "" stands for one that is not there.
func piecesBeside(ctx context.Context, root *os.Root, m *split.Manifest, target string) ([]string, error) {
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return nil, err
	}
	names := make([]string, len(m.Pieces))
	for _, e := range entries {
		fi, err := e.Info()
		wanted := func(p split.Piece) bool { return err == nil && p.Size == fi.Size() }
		if err != nil || !fi.Mode().IsRegular() || e.Name() == target || e.Name() == target+transfer.JoinSuffix || !slices.ContainsFunc(m.Pieces, wanted) {
			continue
		}
		sum, err := contentOf(ctx, filepath.Join(root.Name(), e.Name()))
		if err != nil {
			return nil, err
		}
		for i, p := range m.Pieces {
			better := names[i] == "" || !calledAs(names[i], p) && calledAs(e.Name(), p)
			if better && p.Size == fi.Size() && p.SHA256 == split.Sum(sum) {
				names[i] = e.Name()
			}
		}
	}
	return names, nil
}
