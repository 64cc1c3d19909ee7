package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"iter"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/transfer"
	"github.com/tghaul/haul/transfer/split"
)

// --skip-existing: what a chat has already is not sent again. There are three
// ways to know that it has.

const (
	bySource  = "source" // the store says that this path was sent, and it has not changed since
	byName    = "name"   // the chat has a file of this name and size
	byContent = "sha256" // the store says that these bytes were sent, whatever they were called
)

// skipDefault are the ways of --skip-existing without a value: those that do not
// read the files.
const skipDefault = bySource + "," + byName

// skipReasons tell programs and people why a file was skipped.
var skipReasons = map[string]string{
	bySource:  "sent before and unchanged",
	byName:    "name and size are in the chat",
	byContent: "content is in the chat",
}

func skipFlag() cli.Flag {
	return optionalFlag("skip-existing", skipDefault,
		"do not send what is in the chat: =source (this path was sent and is unchanged), =name (the chat has the name and size), =sha256 (the bytes were sent, under any name), or several; alone it means source,name")
}

// optionalFlag is a flag that may stand alone, or with a value behind =.
func optionalFlag(name, alone, usage string) *cli.GenericFlag {
	return &cli.GenericFlag{Name: name, Value: &optional{alone: alone}, Usage: usage, EnvVars: envOf(name)}
}

// An optional is the value of a flag that may stand alone.
type optional struct{ alone, value string }

// Set takes in a value; true is how the flag package says that there is none.
func (o *optional) Set(value string) error {
	switch value {
	case "true":
		o.value = o.alone
	case "false":
		o.value = ""
	default:
		o.value = value
	}
	return nil
}

func (o *optional) String() string { return o.value }

// Get is for the library's Value.
func (o *optional) Get() any { return o.value }

// IsBoolFlag says that no value need follow.
func (o *optional) IsBoolFlag() bool { return true }

// skipModes reads the value of --skip-existing.
func skipModes(c *cli.Context) (modes []string, err error) {
	for word := range strings.SplitSeq(fmt.Sprint(c.Generic("skip-existing")), ",") {
		switch word = strings.ToLower(strings.TrimSpace(word)); {
		case word == "":
		case skipReasons[word] == "":
			return nil, usagef("--skip-existing=%s: want some of source, name and sha256", word)
		default:
			modes = append(modes, word)
		}
	}
	return modes, nil
}

// An existing tells what a chat has already. It is used by one goroutine.
type existing struct {
	modes []string
	store *checkpoint.Store
	chat  chatFiles
	to    telegram.Peer

	names   chatNames
	records []int // messages of the store's records, sorted; nil: not read yet
	// claimed are documents of the chat that are some source, by its pathKey: no
	// other one is taken for them because of its name.
	claimed map[int64]uint64
	// there are the documents of messages that were looked for; one without
	// documents is gone.
	there map[int][]int64
}

// chatFiles is what has the files of a chat. *telegram.Client is one.
type chatFiles interface {
	Messages(ctx context.Context, p telegram.Peer, o telegram.MessagesOptions) iter.Seq2[*telegram.Message, error]
	RefreshFiles(ctx context.Context, p telegram.Peer, ids []int) (map[int][]telegram.File, error)
}

func newExisting(ctx context.Context, modes []string, store *checkpoint.Store, chat chatFiles, to telegram.Peer) (*existing, error) {
	e := &existing{modes: modes, store: store, chat: chat, to: to, claimed: make(map[int64]uint64), there: make(map[int][]int64)}
	e.names.next, e.names.stop = iter.Pull2(fileMessages(ctx, chat, to))
	e.names.seen, e.names.seed = make(map[uint64][]place), maphash.MakeSeed()
	if !slices.Contains(modes, byName) {
		return e, nil
	}
	// The list goes back from here: what this run sends is not in it.
	return e, e.names.list()
}

// fileMessages lists the messages of a chat that have files, newest first.
// Photos are none of them: the server has made them anew, without a name.
func fileMessages(ctx context.Context, chat chatFiles, to telegram.Peer) iter.Seq2[*telegram.Message, error] {
	return chat.Messages(ctx, to, telegram.MessagesOptions{Lossy: true, Kinds: []telegram.FileKind{
		telegram.KindDocument, telegram.KindVideo, telegram.KindAudio, telegram.KindAnimation,
	}})
}

func (e *existing) close() { e.names.stop() }

// pathKey stands for the path of a source in the store.
func pathKey(s source) uint64 { return checkpoint.TargetOf(absolute(s.path)) }

// reserve claims, before the first source is looked for, what is recorded of any
// of them: an earlier one of the same name and size is not what was sent.
func (e *existing) reserve(ctx context.Context, list iter.Seq[source]) error {
	if !slices.Contains(e.modes, bySource) || !slices.Contains(e.modes, byName) {
		return nil
	}
	for s := range list {
		r, found, err := e.sentSource(s)
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		if found {
			e.claimed[r.Document] = pathKey(s)
		}
	}
	return nil
}

// find says why a source need not be sent; nil if it has to be. Its names are
// what it is called in the chat: one, or several if it is sent in pieces.
func (e *existing) find(ctx context.Context, s source, name string, pieces []piece) (*transfer.Skip, error) {
	if s.info == nil || !s.info.Mode().IsRegular() || s.info.Size() == 0 {
		return nil, nil
	}
	for _, mode := range e.modes {
		var skip *transfer.Skip
		var err error
		switch mode {
		case bySource:
			skip, err = e.bySource(ctx, s)
		case byContent:
			skip, err = e.byContent(ctx, s)
		case byName:
			skip, err = e.byName(s, name, pieces)
		}
		if err != nil {
			return nil, fmt.Errorf("--skip-existing: %w", err)
		}
		if skip != nil {
			skip.Reason = skipReasons[mode]
			return skip, nil
		}
	}
	return nil, nil
}

func (e *existing) bySource(ctx context.Context, s source) (*transfer.Skip, error) {
	r, found, err := e.sentSource(s)
	if err != nil || !found {
		return nil, err
	}
	return e.recorded(ctx, s, r)
}

// sentSource is the record of a source that has not changed since.
func (e *existing) sentSource(s source) (r checkpoint.Sent, found bool, err error) {
	if s.info == nil {
		return r, false, nil
	}
	r, found, err = e.store.SentSource(checkpoint.UploadKey{Source: pathKey(s), Chat: e.to.MarkedID()})
	return r, found && r.Source.Equal(transfer.SourceOf(s.info)), err
}

func (e *existing) byContent(ctx context.Context, s source) (*transfer.Skip, error) {
	chat, size := e.to.MarkedID(), s.info.Size()
	if some, err := e.store.SentOfSize(chat, size); err != nil || !some {
		return nil, err
	}
	sum, err := contentOf(ctx, s.path)
	if err != nil {
		return nil, nil //nolint:nilerr // sending it will say what is wrong with it
	}
	r, found, err := e.store.SentContent(chat, size, sum)
	if err != nil || !found {
		return nil, err
	}
	return e.recorded(ctx, s, r)
}

// contentOf is the SHA-256 of a file.
func contentOf(ctx context.Context, path string) (sum [32]byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return sum, err
	}
	defer f.Close() //nolint:errcheck // only read
	h := sha256.New()
	if _, err := io.Copy(h, &untilDone{ctx, f}); err != nil {
		return sum, err
	}
	return [32]byte(h.Sum(nil)), nil
}

// untilDone reads until a context ends.
type untilDone struct {
	ctx context.Context //nolint:containedctx // it lives no longer than one reading
	r   io.Reader
}

func (u *untilDone) Read(b []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(b)
}

// recorded is the skip of a recorded message, if that is still in the chat.
// Messages are asked for by hundreds: files are sent in the order in which they
// are looked for the next time, more or less.
func (e *existing) recorded(ctx context.Context, s source, r checkpoint.Sent) (*transfer.Skip, error) {
	if _, known := e.there[r.Message]; !known {
		if err := e.look(ctx, r.Message); err != nil {
			return nil, err
		}
	}
	if !slices.Contains(e.there[r.Message], r.Document) {
		return nil, nil
	}
	if _, claimed := e.claimed[r.Document]; !claimed {
		e.claimed[r.Document] = pathKey(s)
	}
	return &transfer.Skip{Document: r.Document, Message: r.Message, SHA256: r.SHA256}, nil
}

// lookAhead is how many messages one call asks for.
const lookAhead = 100

func (e *existing) look(ctx context.Context, message int) error {
	if e.records == nil {
		ids, err := e.store.SentMessages(e.to.MarkedID())
		if err != nil {
			return err
		}
		e.records = ids
	}
	at, _ := slices.BinarySearch(e.records, message)
	ids := []int{message}
	for _, id := range e.records[at:] {
		if id != message && len(ids) < lookAhead {
			ids = append(ids, id)
		}
	}
	files, err := e.chat.RefreshFiles(ctx, e.to, ids)
	if err != nil {
		return err
	}
	for _, id := range ids {
		e.there[id] = nil
		for _, f := range files[id] {
			e.there[id] = append(e.there[id], f.ID)
		}
	}
	return nil
}

// A piece is what is looked for in a chat of a source that is sent in pieces.
type piece struct {
	name string
	size int64 // -1: any, of a manifest
}

func pieceOf(name string, size int64) piece {
	if split.IsManifest(name) {
		size = -1
	}
	return piece{name, size}
}

// byName looks for a source in the list of the chat's files. Each file there
// counts for one source: two of the same name and size are two, and one that is
// known to be another source is not this one.
func (e *existing) byName(s source, name string, pieces []piece) (*transfer.Skip, error) {
	if len(pieces) == 0 {
		pieces = []piece{pieceOf(name, s.info.Size())}
	}
	own := pathKey(s)
	free := func(p place) bool { by, claimed := e.claimed[p.document]; return !claimed || by == own }
	for _, p := range pieces {
		if there, err := e.names.has(p, free); err != nil || !there {
			return nil, err
		}
	}
	last := e.names.take(pieces[len(pieces)-1], free)
	for _, p := range pieces[:len(pieces)-1] {
		e.names.take(p, free)
	}
	return &transfer.Skip{Document: last.document, Message: last.message}, nil
}

// chatNames are the files of a chat, listed as far as they are needed, once.
type chatNames struct {
	next func() (*telegram.Message, error, bool)
	stop func()
	over bool
	// seen are the files that were listed and not taken, by the hash of their
	// name and size: of a million files, two that differ have the same one with
	// a chance of 1 to 30 million.
	seen map[uint64][]place
	seed maphash.Seed
}

type place struct {
	message  int
	document int64
}

func (n *chatNames) key(p piece) uint64 { return maphash.Comparable(n.seed, p) }

// has lists on until a file that is free is found or the list ends.
func (n *chatNames) has(p piece, free func(place) bool) (bool, error) {
	key := n.key(p)
	for looked := 0; !slices.ContainsFunc(n.seen[key][looked:], free); {
		if n.over {
			return false, nil
		}
		looked = len(n.seen[key])
		if err := n.list(); err != nil {
			return false, err
		}
	}
	return true, nil
}

// list takes in the files of one more message.
func (n *chatNames) list() error {
	m, err, more := n.next()
	if n.over = !more; err != nil || !more {
		return err
	}
	for _, f := range m.Files {
		key := n.key(pieceOf(f.Name, f.Size))
		n.seen[key] = append(n.seen[key], place{m.ID, f.ID})
	}
	return nil
}

// take takes the newest free file of a name and size out of the list, which has it.
func (n *chatNames) take(p piece, free func(place) bool) place {
	key := n.key(p)
	at := slices.IndexFunc(n.seen[key], free)
	taken := n.seen[key][at]
	n.seen[key] = slices.Delete(n.seen[key], at, at+1)
	return taken
}
