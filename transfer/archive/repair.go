package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/transfer"
)

// A Fetch gets messages of a chat, given by its marked id, and returns their
// files by message id; messages that are gone are left out. As
// telegram.Client.RefreshFiles it takes any number of ids.
type Fetch func(ctx context.Context, chat int64, messageIDs []int) (map[int][]telegram.File, error)

// Repairs are the downloads that make wrong files right again. Close it after
// the run.
type Repairs struct {
	wrong []Wrong        // each file once
	alike map[string]int // lines of a file that is in several, by where it lies
	done  int
	fetch Fetch
	roots map[string]*os.Root
	locks map[string]*os.File // manifests of the archives, by folder
	busy  map[string]*BusyError
	held  int // lines whose files are left out since their archive is busy
}

// NewRepairs prepares the repair of what Verify has found. Nothing is fetched
// yet. The archives are locked, since a run that archives into one of them would
// write the same files. One that somebody writes to is left out, see Busy.
func NewRepairs(wrong []Wrong, fetch Fetch) (*Repairs, error) {
	r := &Repairs{fetch: fetch, roots: make(map[string]*os.Root), locks: make(map[string]*os.File), alike: make(map[string]int), busy: make(map[string]*BusyError)}
	r.once(wrong)
	listed := r.wrong
	r.wrong = nil
	for _, w := range listed {
		err := r.open(&w)
		switch busy := (*BusyError)(nil); {
		case err == nil:
			r.wrong = append(r.wrong, w)
		case errors.As(err, &busy):
			r.busy[busy.Dir] = busy
			r.held += r.alike[w.file()]
		default:
			return nil, errors.Join(fmt.Errorf("archive: %w", err), r.Close())
		}
	}
	return r, nil
}

// open opens the folder of a wrong file and locks the archive that it is in.
func (r *Repairs) open(w *Wrong) (err error) {
	if r.roots[w.Dir] == nil {
		if r.roots[w.Dir], err = os.OpenRoot(w.Dir); err != nil {
			delete(r.roots, w.Dir)
			return err
		}
	}
	folder := "."
	if first, _, inside := strings.Cut(w.Entry.Path, "/"); inside && w.Entry.Reference {
		folder = first // if it is not one of the archive's own folders
	}
	for _, folder := range []string{".", folder} {
		dir := filepath.Join(w.Dir, folder)
		if r.locks[dir] != nil {
			continue
		}
		if busy := r.busy[dir]; busy != nil {
			return busy
		}
		root, err := r.roots[w.Dir].OpenRoot(folder)
		if err != nil {
			continue // then there is no archive
		}
		f, err := openLocked(root, dir, 0)
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		} else if f != nil {
			r.locks[dir] = f
		}
		if err = errors.Join(err, root.Close()); err != nil {
			return err
		}
	}
	return nil
}

// once takes each file once, as the line that does not refer to it if there is
// one: several lines may share a file, and two repairs must not.
func (r *Repairs) once(wrong []Wrong) {
	at := make(map[string]int)
	for _, w := range wrong {
		file := w.file()
		r.alike[file]++
		i, known := at[file]
		switch {
		case !known:
			at[file] = len(r.wrong)
			r.wrong = append(r.wrong, w)
		case r.wrong[i].Entry.Reference && !w.Entry.Reference:
			r.wrong[i] = w
		}
	}
}

// file is where the file lies.
func (w *Wrong) file() string { return filepath.Join(w.Dir, filepath.FromSlash(w.Entry.Path)) }

// Done is how many of the wrong lines are right by now.
func (r *Repairs) Done() int { return r.done }

// Busy lists the archives that are left out since somebody writes to them, by
// folder, and tells how many wrong lines have their files there.
func (r *Repairs) Busy() (busy []*BusyError, lines int) {
	for _, dir := range slices.Sorted(maps.Keys(r.busy)) {
		busy = append(busy, r.busy[dir])
	}
	return busy, r.held
}

// repairBatch is how many messages are fetched at once.
const repairBatch = 100

// Downloads lists what an engine has to fetch. A file whose message is gone or
// has another file now is listed too, and fails with ErrGone.
func (r *Repairs) Downloads(ctx context.Context) iter.Seq2[transfer.Download, error] {
	return func(yield func(transfer.Download, error) bool) {
		for left := r.wrong; len(left) > 0; {
			n := 1
			for n < min(len(left), repairBatch) && left[n].Entry.Chat == left[0].Entry.Chat {
				n++
			}
			for _, d := range r.batch(ctx, left[:n]) {
				if !yield(d.Download, d.err) || d.err != nil {
					return
				}
			}
			left = left[n:]
		}
	}
}

type listedRepair struct {
	transfer.Download
	err error // ends the list
}

// batch fetches the messages of some files of one chat.
func (r *Repairs) batch(ctx context.Context, wrong []Wrong) (list []listedRepair) {
	chat := wrong[0].Entry.Chat
	var ids []int
	for _, w := range wrong {
		if !slices.Contains(ids, w.Entry.Message) {
			ids = append(ids, w.Entry.Message)
		}
	}
	files, err := r.fetch(ctx, chat, ids)
	if err != nil && !errors.Is(err, telegram.ErrPeerNotFound) && !errors.Is(err, telegram.ErrPeerID) && !errors.Is(err, telegram.ErrUserOnly) {
		return []listedRepair{{err: err}}
	}
	for _, w := range wrong {
		f := w.find(files[w.Entry.Message])
		if err != nil { // the chat is out of reach, others may not be
			f.Err = err
		}
		list = append(list, listedRepair{Download: transfer.Download{
			File: f, Dir: r.roots[w.Dir], Path: w.Entry.Path, ModTime: w.Entry.sent(), Repair: &transfer.Repair{SHA256: w.SHA256},
			Finished: func(transfer.FileResult) error { r.done += r.alike[w.file()]; return nil },
		}})
	}
	return list
}

// sent is the date of the message; zero if the line does not tell.
func (e *Entry) sent() time.Time {
	at, err := time.Parse(time.RFC3339, e.Sent)
	if err != nil || at.Unix() <= 0 {
		return time.Time{}
	}
	return at
}

// find is the file among those of its message. If it is not there the result's
// Err says so.
func (w *Wrong) find(files []telegram.File) telegram.File {
	e := w.Entry
	for _, f := range files {
		if thumb, ok := f.ThumbFile(); ok && e.Thumb != "" {
			f = thumb
		}
		if f.ID == e.Document && f.IsThumb == (e.Thumb != "") && f.Size == e.Size {
			return f
		}
	}
	f := telegram.File{ID: e.Document, Size: e.Size, Err: fmt.Errorf("%w: message %d; what is there was kept", transfer.ErrGone, e.Message)}
	if peer, err := telegram.PeerFromMarkedID(e.Chat); err == nil {
		f.Origin = telegram.Origin{Peer: peer, MessageID: e.Message}
	}
	return f
}

// Close closes the folders and gives the locks back. It may be called twice.
func (r *Repairs) Close() error {
	var errs []error
	for dir, root := range r.roots {
		errs = append(errs, root.Close())
		delete(r.roots, dir)
	}
	for dir, f := range r.locks {
		errs = append(errs, f.Close())
		delete(r.locks, dir)
	}
	return errors.Join(errs...)
}
