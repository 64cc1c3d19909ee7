package transfer

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/scheduler"
	"github.com/tghaul/haul/tl/api"
)

// CDN DCs are not trusted. What they send is encrypted with a key that only
// the file's own DC gives away, and nothing of it is written before the hash
// that this DC states for it was matched. See core.telegram.org/cdn.

const (
	// maxCDNTries is how often a file may meet trouble at its CDN, and
	// maxRedirects how often it is sent to one, before it is fetched from its
	// own DC only.
	maxCDNTries  = 3
	maxRedirects = 3
)

// cdnState is what a download knows of its CDN. Guarded by download.mu.
type cdnState struct {
	refused   bool // no CDN for this file any more
	redirects int
	troubles  int
	// token is that of the present redirect; nil if there is none.
	token   []byte
	dc      int
	key, iv []byte
	hashes  map[int64]blockHash // by offset
}

var cdnMethod = (*api.UploadGetCdnFileRequest)(nil).TypeName()

func (d *download) cdnRouteLocked() scheduler.Route {
	return scheduler.Route{DC: d.cdn.dc, Use: scheduler.CDN, Method: cdnMethod}
}

// redirect takes in where the DC sends the file. The first of several answers
// counts; the others mean the same.
func (d *download) redirect(s scheduler.Send, a *api.UploadFileCdnRedirect) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := &d.cdn
	switch {
	case c.refused:
		return &answerError{method: s.Route.Method, err: errors.New("redirect to a CDN that was not asked for")}
	case c.token != nil:
		return &rerouteError{to: d.cdnRouteLocked()}
	}
	if c.redirects++; c.redirects > maxRedirects || len(a.EncryptionKey) != 32 || len(a.EncryptionIv) != 16 || a.DCID <= 0 {
		c.refused = true
		return errAgain
	}
	c.token = slices.Clone(a.FileToken)
	if c.token == nil {
		c.token = []byte{}
	}
	c.dc = int(a.DCID)
	c.key, c.iv = slices.Clone(a.EncryptionKey), slices.Clone(a.EncryptionIv)
	c.hashes = make(map[int64]blockHash)
	d.addHashesLocked(a.FileHashes)
	return &rerouteError{to: d.cdnRouteLocked()}
}

// addHashesLocked keeps the hashes that make sense.
func (d *download) addHashesLocked(hashes []api.FileHash) { keepBlocks(d.cdn.hashes, hashes, d.size) }

// leaveCDN goes back to the file's own DC, where a new redirect may come; for
// good after too much trouble.
func (d *download) leaveCDN(token []byte, why error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cdn.token != nil && subtle.ConstantTimeCompare(d.cdn.token, token) == 1 {
		d.cdn.token = nil
	}
	return &rerouteError{to: d.masterRouteLocked(), why: why}
}

// cdnTrouble counts trouble with a CDN. The error says to try again, or to go
// back to the file's own DC.
func (d *download) cdnTrouble(ctx context.Context, err error) error {
	if ctx.Err() != nil || endsRun(err) {
		return err
	}
	d.mu.Lock()
	c := &d.cdn
	if c.troubles++; c.troubles < maxCDNTries {
		d.mu.Unlock()
		return fmt.Errorf("%w: CDN: %w", errServer, err)
	}
	c.refused = true
	token := c.token
	d.mu.Unlock()
	return d.leaveCDN(token, err)
}

// moveCDN asks a CDN for one part.
func (d *download) moveCDN(ctx context.Context, conn Session, s scheduler.Send) (payload, error) {
	d.mu.Lock()
	c := d.cdn // key, iv and token are never changed, only replaced
	d.mu.Unlock()
	if c.token == nil || c.refused {
		return nil, d.leaveCDN(nil, nil) // sent before the file was called back
	}
	q := &api.UploadGetCdnFileRequest{FileToken: c.token, Offset: d.offset(s.Part.N), Limit: int32(d.partSize)}
	resp, err := conn.Invoke(ctx, q)
	if err != nil {
		return nil, d.cdnError(ctx, c, err)
	}
	answer, err := decode(q, resp.Body())
	if err != nil {
		resp.Release()
		return nil, d.cdnTrouble(ctx, err)
	}
	switch a := answer.(type) {
	case *api.UploadCdnFile:
		return d.acceptCDN(ctx, s, c, resp, a.Bytes)
	case *api.UploadCdnFileReuploadNeeded:
		err := d.reupload(ctx, s, c, slices.Clone(a.RequestToken))
		resp.Release()
		if err != nil {
			return nil, err
		}
		return nil, errAgain
	default:
		resp.Release()
		return nil, d.cdnTrouble(ctx, fmt.Errorf("unexpected %s", answer.TypeName()))
	}
}

// cdnError decides about an error that a CDN answered.
func (d *download) cdnError(ctx context.Context, c cdnState, err error) error {
	var rpc *mtproto.RPCError
	if !errors.As(err, &rpc) {
		return d.cdnTrouble(ctx, err)
	}
	switch {
	case isWait(rpc):
		return err
	case rpc.Type == "FILE_TOKEN_INVALID" || rpc.Type == "REQUEST_TOKEN_INVALID":
		return d.leaveCDN(c.token, err)
	default:
		return d.cdnTrouble(ctx, err)
	}
}

// acceptCDN decrypts a part in place and proves it.
func (d *download) acceptCDN(ctx context.Context, s scheduler.Send, c cdnState, resp Response, data []byte) (payload, error) {
	n := s.Part.N
	if err := checkLength(len(data), d.length(n), d.partSize); err != nil {
		resp.Release()
		return nil, d.cdnTrouble(ctx, err)
	}
	err := crypto.CDNCrypt(c.key, c.iv, d.offset(n), data)
	if err == nil {
		err = d.verifyCDN(ctx, s, c, data)
	}
	if err != nil {
		resp.Release()
		if errors.Is(err, ErrHash) {
			err = d.cdnTrouble(ctx, err)
		}
		return nil, err
	}
	return &fetched{d: d, n: n, resp: resp, data: data}, nil
}

// verifyCDN matches a part against the hashes of the file's own DC. Those that
// are missing are asked for.
func (d *download) verifyCDN(ctx context.Context, s scheduler.Send, c cdnState, data []byte) error {
	hash := func(at int64) (blockHash, bool) {
		d.mu.Lock()
		defer d.mu.Unlock()
		h, ok := d.cdn.hashes[at]
		return h, ok
	}
	ask := func(at int64) error { return d.fetchCDNHashes(ctx, s, c, at) }
	return proveBlocks(data, d.offset(s.Part.N), d.size, hash, ask)
}

// fetchCDNHashes asks the file's own DC for the hashes from an offset on.
func (d *download) fetchCDNHashes(ctx context.Context, s scheduler.Send, c cdnState, offset int64) error {
	q := &api.UploadGetCdnFileHashesRequest{FileToken: c.token, Offset: offset}
	return d.askMaster(ctx, s, c, q.TypeName(), func(m Session) error { return call(ctx, m, q, d.keepHashes) })
}

// reupload has the file's own DC send the part to the CDN again.
func (d *download) reupload(ctx context.Context, s scheduler.Send, c cdnState, requestToken []byte) error {
	q := &api.UploadReuploadCdnFileRequest{FileToken: c.token, RequestToken: requestToken}
	return d.askMaster(ctx, s, c, q.TypeName(), func(m Session) error { return call(ctx, m, q, d.keepHashes) })
}

func (d *download) keepHashes(hashes []api.FileHash) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.addHashesLocked(hashes)
	return nil
}

// askMaster asks the file's own DC about its CDN. A wait is not waited out,
// since the caller holds a buffer: it sends the file back to its own DC.
func (d *download) askMaster(ctx context.Context, s scheduler.Send, c cdnState, method string, ask func(Session) error) error {
	route := d.route()
	route.Method = method
	err := d.run.aside(ctx, route, s.Conn, ask)
	var rpc *mtproto.RPCError
	var held *heldError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &held), errors.As(err, &rpc) && (rpc.Code == 400 || rpc.Code == 420):
		return d.leaveCDN(c.token, fmt.Errorf("%s: %w", method, err))
	default:
		return d.cdnTrouble(ctx, fmt.Errorf("%s: %w", method, err))
	}
}
