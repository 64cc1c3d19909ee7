package transfer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"time"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/tl/api"
)

// Part sizes. See core.telegram.org/api/files.
const (
	// MaxPartSize is the most that one upload.getFile answers.
	MaxPartSize = 1 << 20
	// uploadPartSize is the most that one upload.saveBigFilePart takes.
	uploadPartSize = 512 << 10
)

// Options say how an Engine works. A zero field means its default.
type Options struct {
	// Checkpoint remembers parts and finished files between runs. nil:
	// nothing is remembered. *checkpoint.Store is one.
	Checkpoint Checkpoint
	// Premium says that the account has Telegram Premium, to which the servers
	// give more; New finds it out. It doubles the defaults of Connections and
	// MaxUploadParts, and captions may be longer.
	Premium bool
	// Connections is how many connections each DC may get. A run begins with
	// fewer and adds some as long as they make it faster. Default 4.
	Connections int
	// Order is the order in which files begin. Default: as they are listed.
	Order Order
	// Limits returns the user's limits at a moment, and when they change next
	// (the zero time: never). nil: no limits.
	Limits func(now time.Time) (Limits, time.Time)
	// Transfers is how many files are moved at once, not counting small
	// ones and those that wait. Default 4.
	Transfers int
	// PartSize of downloads: 128 KiB times a power of two, at most 1 MiB.
	// Default 1 MiB.
	PartSize int
	// MaxWait is the longest flood wait that is waited out. A longer one ends
	// the run with a *WaitError; everything fetched is kept. What is left of a
	// wait that an earlier run has met counts too. Default: any wait is waited out.
	MaxWait time.Duration
	// VerifyServer compares each finished download with the hashes that the
	// server has of it (upload.getFileHashes), at the price of some requests.
	VerifyServer bool
	// NoHash leaves the SHA-256 of what is transferred uncomputed, which shows what
	// it costs: results and records have zero, and the file cannot be verified.
	NoHash bool
	// Events gets everything that happens, in order, one call at a time. It
	// must return soon, since the run waits for it. nil: nobody listens.
	Events func(Event)
	// ProgressInterval is the time between two Progress events. Default
	// 500 ms.
	ProgressInterval time.Duration
	// MaxUploadParts is how many parts an upload may have. Default 4000.
	MaxUploadParts int
	// MaxResults is how many files Report.Done and Report.Failed have at most
	// each, for runs that are long; the counters count all. Default: all.
	MaxResults int
	// Log gets what only matters to who looks for a fault. nil: nobody.
	Log *slog.Logger
}

func (o Options) withDefaults() (Options, error) {
	tier := 1
	if o.Premium {
		tier = 2
	}
	if o.Connections <= 0 {
		o.Connections = 4 * tier
	}
	if o.Transfers <= 0 {
		o.Transfers = 4
	}
	if o.PartSize == 0 {
		o.PartSize = MaxPartSize
	}
	switch o.PartSize {
	case 128 << 10, 256 << 10, 512 << 10, MaxPartSize:
	default:
		return o, fmt.Errorf("transfer: part size %d: want 128, 256, 512 or 1024 KiB", o.PartSize)
	}
	if o.ProgressInterval <= 0 {
		o.ProgressInterval = 500 * time.Millisecond
	}
	if o.MaxUploadParts <= 0 {
		o.MaxUploadParts = 4000 * tier
	}
	if o.Events == nil {
		o.Events = func(Event) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

// maxCaption is how long a caption may be, in UTF-16 units. See
// core.telegram.org/api/config#caption-length-limit-default.
func (o Options) maxCaption() int {
	if o.Premium {
		return 4096
	}
	return 1024
}

// An Order says which files begin first, of those that are listed and wait: up
// to some thousands.
type Order uint8

// The orders.
const (
	Listed Order = iota
	Smallest
	Largest
)

// again is the priority of files that have begun and must be queued once more:
// they are open, and nearly done.
const again = math.MaxInt64

// priority is that of a file of a size.
func (o Order) priority(size int64) int64 {
	switch o {
	case Smallest:
		return -size
	case Largest:
		return size
	default:
		return 0
	}
}

// A Download is one file to fetch.
type Download struct {
	File telegram.File
	// Dir is where the file goes; nothing outside of it is ever touched. It
	// stays the caller's, who closes it after the run.
	Dir *os.Root
	// Path is the file's name below Dir, with slashes. Folders are made. An
	// existing file is never replaced, unless by Repair; if the checkpoint does
	// not know it, it is proven to be the one wanted, or else the download fails
	// with ErrExists. "": SafeName(File.Name).
	Path string
	// ModTime, if not zero, is what the file has for the time of its last change
	// from the moment that it has its name. Nothing depends on it: content alone
	// says whether a file is the right one.
	ModTime time.Time
	// SHA256 is what an earlier run has found the content to have, if that is
	// known from elsewhere than the checkpoint; else zero. A file of that hash
	// under its final name is complete.
	SHA256 [32]byte
	// Same tells the content, if other downloads of the run may have the same;
	// "": none has. Of those only one at a time is under way, so that Local can
	// find what the others have fetched.
	Same string
	// Local, if not nil, is asked before anything is fetched whether the file
	// can be had from this computer, unless it is in its place already.
	Local func(ctx context.Context) (Local, error)
	// Repair, if not nil, makes good a file that was complete once and is
	// damaged or missing now.
	Repair *Repair
	// Finished, if not nil, is called once the file is complete under its name
	// (or was so before: then Skipped is set), before FileDone is sent. Its
	// error fails the file. It is called by one goroutine at a time.
	Finished func(FileResult) error
}

// A Local says that a file need not be fetched.
type Local struct {
	Found  bool
	SHA256 [32]byte
	// Elsewhere says that the content stays where it lies and nothing has been
	// put at Path; else a complete file, synced, has to be there now.
	Elsewhere bool
}

// A Repair says what a file must be again. What is still good of the file is
// copied to NAME.part, only the rest is fetched, and once the whole has the
// right hash it takes the file's place in one step. Until then, and if the
// server has other content now (ErrDiffers), the file stays as it is.
//
// What is good is told by the checksums in the checkpoint, or else by the hashes
// that the server states (upload.getFileHashes); if there are neither,
// everything is fetched. A repair that was cut short goes on where it was.
type Repair struct {
	SHA256 [32]byte // of the whole content, as a manifest has it
}

// An Upload is one file to send.
type Upload struct {
	Path     string // of the source on disk
	Name     string // shown in the chat; "": the base name of Path
	To       telegram.Peer
	Caption  string
	Entities []api.MessageEntityClass // of the caption
	MimeType string                   // "": found by looking at the content
	// As says which kinds of media are sent as what they are. A file of another
	// kind, or one that Telegram would not take as such, is sent as a document.
	As Kinds
	// Thumb makes the preview of the file: a JPEG of at most media.MaxThumb
	// bytes, or nothing. It is called shortly before the message is sent, and not
	// for photos. nil: no preview. Its error is told (FileNote), and no more.
	Thumb func(ctx context.Context) ([]byte, error)
	// Send says how the message is sent.
	Send telegram.SendOptions
	// Job names the command that the upload belongs to. In all runs of one job
	// a file is sent once, for as long as its content does not change: later
	// runs skip it. The checkpoint remembers that until it is told to forget
	// the job. "": every run sends the file.
	Job string
	// Section, if not nil, is what is sent of the source; else all of it.
	Section *Section
	// Alone keeps it out of albums, as sections and what is skipped always are.
	Alone bool
	// Skip, if not nil, says that the file is there already and not sent again.
	Skip *Skip
	// Broken, if not nil, is why the file cannot be sent: it fails with that,
	// unless it is to be skipped.
	Broken error
	// Confirm has it proven, once the message is sent, that the server has the
	// source's content: FileResult.Unconfirmed tells if that cannot be done.
	Confirm bool
	// Finished, if not nil, is called once the message is sent; see
	// Download.Finished.
	Finished func(FileResult) error

	over func() // is called once when the upload is done or given up

	album *album // set by Albums
	place int    // in it
}

// Errors of runs and files; use errors.Is.
var (
	// ErrExists says that the file's name is taken by something else.
	ErrExists = errors.New("transfer: file exists and is not this download's")
	// ErrProtected says that the file is protected content (noforwards).
	ErrProtected = errors.New("transfer: protected content is not saved")
	// ErrGone says that the message has no such file any more.
	ErrGone = errors.New("transfer: message was deleted or has another file now")
	// ErrShort says that the server sent less than the file has, repeatedly.
	ErrShort = errors.New("transfer: server sent less than the file has")
	// ErrLong says that the server sent more than was asked for.
	ErrLong = errors.New("transfer: server sent more than asked")
	// ErrSize says that a size makes no sense.
	ErrSize = errors.New("transfer: impossible size")
	// ErrChanged says that the source of an upload changed meanwhile.
	ErrChanged = errors.New("transfer: source changed during the upload")
	// ErrEmpty says that an empty file cannot be sent.
	ErrEmpty = errors.New("transfer: Telegram takes no empty files")
	// ErrCaption says that a caption is longer than the account may send.
	ErrCaption = errors.New("transfer: the caption is too long")
	// ErrTooBig says that a source has more parts than the account may send.
	ErrTooBig = errors.New("transfer: file is too big for this account")
	// ErrDiffers says that what the server has is not what a repair must make.
	ErrDiffers = errors.New("transfer: the server has other content now; what is there was kept")
	// ErrHash says that bytes do not have the hash that the server states.
	ErrHash = errors.New("transfer: content does not match the server's hash")
)

// A WaitError ends a run when Telegram asks for a longer wait than allowed.
type WaitError struct {
	DC     int
	Method string
	Wait   time.Duration
}

func (e *WaitError) Error() string {
	return fmt.Sprintf("transfer: Telegram asked to wait %v (%s), longer than allowed", e.Wait, scopeName(e.DC, e.Method))
}
