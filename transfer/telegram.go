package transfer

import (
	"context"
	"time"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/tl"
)

// Telegram is what the engine needs of an account. New makes one of a
// *telegram.Client; tests have their own.
type Telegram interface {
	// HomeDC is where uploads go.
	HomeDC() int
	// NewHash is a SHA-256 that is computed beside the packets of the account, as
	// far as that is possible.
	NewHash() *crypto.Hash
	// FileSession is the n-th connection for files with a DC; see
	// telegram.Client.FileSession.
	FileSession(ctx context.Context, dc int, use telegram.Use, n int) (Session, error)
	// DropFileSession ends one, so that the next call makes a new one.
	DropFileSession(dc int, use telegram.Use, n int)
	// CDNSession is the n-th connection with a CDN DC.
	CDNSession(ctx context.Context, dc int, n int) (Session, error)
	// ReauthorizeDC is called after an error that is telegram.AboutAccount; see
	// telegram.Client.ReauthorizeDC.
	ReauthorizeDC(ctx context.Context, dc int, cause error) error
	// RefreshFiles fetches messages for the sake of new file references.
	RefreshFiles(ctx context.Context, peer telegram.Peer, messageIDs []int) (map[int][]telegram.File, error)
	// SendUploaded sends a message with an uploaded file.
	SendUploaded(ctx context.Context, to telegram.Peer, u telegram.Uploaded) (messageID int, file telegram.File, err error)
	// UploadMedia makes a file of an upload, without a message.
	UploadMedia(ctx context.Context, to telegram.Peer, u telegram.Uploaded) (telegram.Media, error)
	// SendAlbum sends such files as one group of messages.
	SendAlbum(ctx context.Context, to telegram.Peer, items []telegram.AlbumItem, o telegram.SendOptions) []telegram.SentItem
}

// A Session carries requests over one connection. It is safe for concurrent
// use. A query is the caller's again when the call has returned.
type Session interface {
	Invoke(ctx context.Context, q tl.Object) (Response, error)
	// InvokeWith is the same for a query that ends in bytes which are read when
	// it is sent; see mtproto.Session.InvokeWith.
	InvokeWith(ctx context.Context, q tl.Object, payload mtproto.Payload) (Response, error)
}

// A Response is an answer in a buffer that is not the caller's: Release gives
// it back, exactly once.
type Response interface {
	Body() []byte
	Release()
}

// A Checkpoint remembers what is finished. *checkpoint.Store is one that
// lasts, *checkpoint.Memory one that does not.
type Checkpoint interface {
	Commit(*checkpoint.Batch) error
	Download(checkpoint.Key) (checkpoint.Download, bool, error)
	Done(checkpoint.Key) (checkpoint.Done, bool, error)
	Checksums(checkpoint.Key) (map[int]uint32, error)
	Upload(checkpoint.UploadKey) (checkpoint.Upload, bool, error)
	Sent(job string, k checkpoint.UploadKey) (checkpoint.Sent, bool, error)
	Waits(now time.Time) ([]checkpoint.Wait, error)
	Limits() ([]checkpoint.Limit, error)
}

// client makes a Telegram of a *telegram.Client.
type client struct{ *telegram.Client }

func (c client) FileSession(ctx context.Context, dc int, use telegram.Use, n int) (Session, error) {
	s, err := c.Client.FileSession(ctx, dc, use, n)
	if err != nil {
		return nil, err
	}
	return session{s}, nil
}

func (c client) CDNSession(ctx context.Context, dc int, n int) (Session, error) {
	s, err := c.Client.CDNSession(ctx, dc, n)
	if err != nil {
		return nil, err
	}
	return session{s}, nil
}

type session struct{ s *mtproto.Session }

func (s session) Invoke(ctx context.Context, q tl.Object) (Response, error) {
	return response(s.s.Invoke(ctx, q))
}

func (s session) InvokeWith(ctx context.Context, q tl.Object, payload mtproto.Payload) (Response, error) {
	return response(s.s.InvokeWith(ctx, q, payload))
}

// response is r without its type: a nil *Response is no nil Response.
func response(r *mtproto.Response, err error) (Response, error) {
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Reconnects is how often the connection was lost and made again.
func (s session) Reconnects() int { return int(s.s.Stats().Reconnects) }

// call asks and decodes. The answer must not alias its buffer, which is
// released here.
func call[R any](ctx context.Context, s Session, q tl.Method[R], use func(R) error) error {
	resp, err := s.Invoke(ctx, q)
	return answered(resp, err, q, use)
}

// answered decodes the answer to a call and releases it.
func answered[R any](resp Response, err error, q tl.Method[R], use func(R) error) error {
	if err != nil {
		return err
	}
	defer resp.Release()
	r, err := decode(q, resp.Body())
	if err != nil {
		return err
	}
	return use(r)
}

// decode reads an answer, all of it. What it returns aliases body.
func decode[R any](q tl.Method[R], body []byte) (R, error) {
	return decodeBy(tl.NewDecoder(nil), q, body)
}

// decodeBy is decode, with a decoder for it to use.
func decodeBy[R any](d *tl.Decoder, q tl.Method[R], body []byte) (R, error) {
	d.Reset(body)
	r, err := q.DecodeResult(d)
	if err == nil {
		err = d.End()
	}
	if err != nil {
		var none R
		return none, &answerError{method: q.TypeName(), err: err}
	}
	return r, nil
}
