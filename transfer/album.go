package transfer

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"path/filepath"
	"slices"
	"time"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/tl/api"
)

// Albums. The files of an album are moved as all files are. One that is
// complete is made a file of the server's own (messages.uploadMedia), which is
// recorded, and then parked: it holds no slot and is not open. When each file of
// the album is parked or over, those that are parked are sent as one group. The
// random id of each message was recorded before its first part, so that each is
// sent once, whatever happens and however the files are grouped the next time.

// An album is the state of one, the loop's alone but for the constant fields.
type album struct {
	caption  string // on the first message that is sent; constant, too
	entities []api.MessageEntityClass
	want     int // uploads in it; constant once they are listed

	over      int      // that are sent, or have failed
	captioned bool     // a message that was sent has the caption
	parked    []*entry // that wait for the others
	sending   bool
}

// mediaFresh is how long a file of the server's own is there for certain, though
// no message is made of it. If one older than that is refused it is made anew.
const mediaFresh = 10 * time.Minute

// errParked is returned by finish when a file waits for the others of its album.
var errParked = errors.New("transfer: waits for the rest of its album")

// Albums groups the uploads of a sequence: those that follow on one another, lie
// in the same folder, go to the same place and may stand in one album. Photos
// and videos may stand together, audio with audio, documents with documents,
// voice messages in none. An album has telegram.MaxAlbum messages, or fewer. Of
// the captions of its files the first is its caption, the others are left out;
// it stands on the first that is sent, and none is if it is too long.
func Albums(files iter.Seq2[Upload, error]) iter.Seq2[Upload, error] {
	return func(yield func(Upload, error) bool) {
		var group []Upload
		class := ""
		flush := func() bool {
			defer func() { group = nil }()
			asAlbum(group)
			for _, u := range group {
				if !yield(u, nil) {
					return false
				}
			}
			return true
		}
		for u, err := range files {
			if err != nil {
				if flush() {
					yield(u, err)
				}
				return
			}
			c := classOf(u)
			if len(group) > 0 && (c != class || c == "" || len(group) == telegram.MaxAlbum || !together(group[0], u)) && !flush() {
				return
			}
			class, group = c, append(group, u)
		}
		flush()
	}
}

// together reports whether two uploads may be in one album, for where they come
// from and go to.
func together(a, b Upload) bool {
	return filepath.Dir(a.Path) == filepath.Dir(b.Path) && a.To.MarkedID() == b.To.MarkedID() && a.Job == b.Job && a.Send == b.Send
}

// asAlbum makes an album of uploads, if they are enough.
func asAlbum(group []Upload) {
	if len(group) < 2 {
		return
	}
	a := &album{want: len(group)}
	for i := range group {
		u := &group[i]
		if a.caption == "" {
			a.caption, a.entities = u.Caption, u.Entities
		}
		u.album, u.place, u.Caption, u.Entities = a, i, "", nil
	}
}

// captionLen is the length of the caption that the message may get.
func (u *upload) captionLen() int {
	if a := u.u.album; a != nil {
		return utf16Len(a.caption)
	}
	return utf16Len(u.u.Caption)
}

// makeMedia has the server make a file of the parts, and parks the upload.
func (u *upload) makeMedia(ctx context.Context, what telegram.Uploaded, sum [32]byte) error {
	m, err := u.run.tg.UploadMedia(ctx, u.u.To, what)
	if lost, more := u.lostParts(err); lost {
		return more
	}
	if err != nil {
		return err
	}
	u.mu.Lock()
	u.record.Media = &checkpoint.Media{Photo: m.Photo, ID: m.ID, AccessHash: m.AccessHash, FileReference: m.FileReference, SHA256: sum, Made: time.Now().UTC()}
	record := u.record
	u.mu.Unlock()
	if err := u.run.commits.wait(nil, func(b *checkpoint.Batch) { b.PutUpload(u.key, record) }); err != nil {
		return err
	}
	return errParked
}

// forgetMedia notes that the server's file cannot be used any more: another one
// has to be made of the parts, or of new ones if these are too old.
func (u *upload) forgetMedia() error {
	if time.Since(u.record.Started) >= partsLife {
		return u.restart()
	}
	u.mu.Lock()
	u.record.Media = nil
	record := u.record
	u.mu.Unlock()
	return u.run.commits.wait(nil, func(b *checkpoint.Batch) { b.PutUpload(u.key, record) })
}

// albumOf is the album of an entry; nil if it has none.
func albumOf(e *entry) (*upload, *album) {
	u, ok := e.job.(*upload)
	if !ok {
		return nil, nil
	}
	return u, u.u.album
}

// park puts a file by until its album can be sent. It is closed as soon as no
// task uses it.
func (r *run) park(e *entry) {
	_, a := albumOf(e)
	e.parked = true
	if i := slices.Index(r.order, e); i >= 0 {
		r.order = slices.Delete(r.order, i, i+1)
	}
	a.parked = append(a.parked, e)
	r.sendAlbum(a)
}

// leftAlbum takes in that a file is over.
func (r *run) leftAlbum(e *entry) {
	if _, a := albumOf(e); a != nil {
		a.over++
		r.sendAlbum(a)
	}
}

// sendAlbum sends what is parked, if nothing else is to come.
func (r *run) sendAlbum(a *album) {
	if a.sending || r.fatal != nil || len(a.parked) == 0 || len(a.parked)+a.over < a.want {
		return
	}
	group := a.parked
	a.parked, a.sending = nil, true
	slices.SortFunc(group, func(x, y *entry) int { return cmp.Compare(place(x), place(y)) })
	for _, e := range group {
		e.parked = false
		e.users++
	}
	caption, entities := a.caption, a.entities
	if a.captioned {
		caption, entities = "", nil
	}
	r.tasks.Go(func() {
		results, errs := sendGroup(r.ctx(), r, group, caption, entities)
		r.post(func() {
			for i, e := range group {
				a.captioned = a.captioned || results[i].captioned
				r.fileFinished(e, results[i], errs[i])
			}
			a.sending = false
			r.sendAlbum(a) // what was parked again may be all that is left
			for _, e := range group {
				r.unuse(e)
			}
		})
	})
}

func place(e *entry) int {
	u, _ := albumOf(e)
	return u.u.place
}

// sendGroup sends parked files as one group, and records what became of each.
// An error of errMore means that the file has to be made anew, errParked that it
// waits for one that has.
func sendGroup(ctx context.Context, r *run, group []*entry, caption string, entities []api.MessageEntityClass) ([]FileResult, []error) {
	uploads, items := make([]*upload, len(group)), make([]telegram.AlbumItem, len(group))
	for i, e := range group {
		u, _ := albumOf(e)
		m := u.record.Media
		uploads[i] = u
		items[i] = telegram.AlbumItem{RandomID: u.record.RandomID, Old: time.Since(m.Made) > mediaFresh, Media: telegram.Media{
			Photo: m.Photo, ID: m.ID, AccessHash: m.AccessHash, FileReference: m.FileReference,
		}}
	}
	items[0].Caption, items[0].Entities = caption, entities
	sent := r.tg.SendAlbum(ctx, uploads[0].u.To, items, uploads[0].u.Send)
	results, errs := make([]FileResult, len(group)), make([]error, len(group))
	records := make(map[*upload]checkpoint.Sent)
	for i, s := range sent {
		u := uploads[i]
		var stale *telegram.StaleMediaError
		switch {
		case s.Sent:
			records[u] = checkpoint.Sent{
				Source: u.record.Source, Document: items[i].Media.ID, Message: s.MessageID, SHA256: u.record.Media.SHA256, At: time.Now().UTC(),
				Path: u.path, Captioned: s.Captioned,
			}
			results[i] = u.result(records[u])
		case errors.As(s.Err, &stale):
			errs[i] = cmp.Or(u.forgetMedia(), errMore)
		case s.Err == nil:
			errs[i] = errParked
		default:
			errs[i] = s.Err
		}
	}
	if err := recordSent(r, records); err != nil {
		for i := range errs {
			errs[i] = cmp.Or(errs[i], err)
		}
		return results, errs
	}
	for i, u := range uploads {
		if errs[i] == nil {
			errs[i] = u.confirmParked(ctx, &results[i])
		}
		if errs[i] == nil {
			errs[i] = r.tell(u, results[i])
		}
	}
	return results, errs
}

// recordSent records the messages of an album, all at once.
func recordSent(r *run, records map[*upload]checkpoint.Sent) error {
	if len(records) == 0 {
		return nil
	}
	return r.commits.wait(nil, func(b *checkpoint.Batch) {
		for u, record := range records {
			b.FinishUpload(u.key, u.u.Job, record)
		}
	})
}
