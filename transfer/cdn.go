package transfer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/scheduler"
	"github.com/tghaul/haul/tl/api"
)

// maxCDNTrouble is how often a file may meet bad bytes, dead tokens or an
// unreachable CDN before it is fetched from its own DC.
const maxCDNTrouble = 3

// cdnState is what a download knows of the CDN that it was sent to. CDN DCs
// are not trusted: their bytes count only if they have the hashes that the
// file's own DC states. See core.telegram.org/cdn.
type cdnState struct {
	mu      sync.Mutex
	dc      int
	token   []byte
	key, iv []byte
	hashes  map[int64]api.FileHash // by offset
	trouble int
}

// refused says whether the CDN is out of the question.
func (c *cdnState) refused() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.trouble >= maxCDNTrouble
}

// redirect takes over where the server sends the file.
func (c *cdnState) redirect(a *api.UploadFileCdnRedirect) scheduler.Route {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dc, c.token = int(a.DCID), bytes.Clone(a.FileToken)
	c.key, c.iv = bytes.Clone(a.EncryptionKey), bytes.Clone(a.EncryptionIv)
	c.addLocked(a.FileHashes)
	return scheduler.Route{DC: c.dc, Use: scheduler.CDN, Method: "upload.getCdnFile"}
}

func (c *cdnState) add(list []api.FileHash) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.addLocked(list)
	return nil
}

func (c *cdnState) addLocked(list []api.FileHash) {
	if c.hashes == nil {
		c.hashes = map[int64]api.FileHash{}
	}
	for _, h := range list {
		if h.Limit > 0 && h.Offset >= 0 {
			h.Hash = bytes.Clone(h.Hash)
			c.hashes[h.Offset] = h
		}
	}
}

// blame notes trouble and says how to go on: once more, or at the file's DC.
func (c *cdnState) blame(home scheduler.Route, why error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.trouble++; c.trouble < maxCDNTrouble {
		return fmt.Errorf("%w: %w", errAgain, why)
	}
	return &rerouteError{to: home, why: why}
}

// moveCDN asks the CDN for a part.
func (j *download) moveCDN(ctx context.Context, s scheduler.Send) (payload, error) {
	home := j.route()
	conn, err := j.r.session(ctx, s.Route, s.Conn)
	if err != nil {
		if ctx.Err() != nil || endsRun(err) {
			return nil, err
		}
		return nil, j.cdn.blame(home, err)
	}
	j.cdn.mu.Lock()
	token, key, iv := j.cdn.token, j.cdn.key, j.cdn.iv
	j.cdn.mu.Unlock()
	offset := int64(s.Part.N) * int64(j.partSize)
	q := &api.UploadGetCdnFileRequest{FileToken: token, Offset: offset, Limit: int32(j.partSize)}
	resp, err := conn.Invoke(ctx, q)
	if err != nil {
		return nil, j.cdnError(home, err)
	}
	answer, err := decode(q, resp.Body())
	if err != nil {
		resp.Release()
		return nil, j.cdn.blame(home, err)
	}
	switch a := answer.(type) {
	case *api.UploadCdnFile:
		if err := j.openCDN(ctx, s, offset, a.Bytes, key, iv); err != nil {
			resp.Release()
			return nil, err
		}
		return j.piece(s.Part, offset, a.Bytes, resp)
	case *api.UploadCdnFileReuploadNeeded:
		request := bytes.Clone(a.RequestToken)
		resp.Release()
		return nil, j.reupload(ctx, s, token, request)
	default:
		resp.Release()
		return nil, j.cdn.blame(home, fmt.Errorf("unexpected %s", answer.TypeName()))
	}
}

// cdnError sorts an error of the CDN: what means that the token is dead leads
// back to the file's DC, which may redirect again.
func (j *download) cdnError(home scheduler.Route, err error) error {
	var rpc *mtproto.RPCError
	if !errors.As(err, &rpc) || isWait(rpc) || rpc.Code >= 500 || rpc.Code < 0 {
		return err
	}
	j.cdn.mu.Lock()
	defer j.cdn.mu.Unlock()
	j.cdn.trouble++
	return &rerouteError{to: home, why: err}
}

// openCDN decrypts a part in place and checks every block of it.
func (j *download) openCDN(ctx context.Context, s scheduler.Send, offset int64, b, key, iv []byte) error {
	home := j.route()
	if int64(len(b)) != s.Part.Size {
		return j.cdn.blame(home, fmt.Errorf("%w: %d of %d bytes from the CDN", ErrShort, len(b), s.Part.Size))
	}
	if err := crypto.CDNCrypt(key, iv, offset, b); err != nil {
		return j.cdn.blame(home, err)
	}
	for done := int64(0); done < int64(len(b)); {
		h, err := j.cdnHash(ctx, s, offset+done)
		if err != nil {
			return err
		}
		block := b[done:min(int64(len(b)), done+int64(h.Limit))]
		if sum := sha256.Sum256(block); !bytes.Equal(sum[:], h.Hash) {
			return j.cdn.blame(home, fmt.Errorf("%w: bytes of the CDN at %d", ErrHash, offset+done))
		}
		done += int64(h.Limit)
	}
	return nil
}

// cdnHash is the hash of the block at an offset, as the file's DC states it.
func (j *download) cdnHash(ctx context.Context, s scheduler.Send, offset int64) (api.FileHash, error) {
	known := func() (api.FileHash, bool) {
		j.cdn.mu.Lock()
		defer j.cdn.mu.Unlock()
		h, ok := j.cdn.hashes[offset]
		return h, ok
	}
	if h, ok := known(); ok {
		return h, nil
	}
	home := j.route()
	conn, err := j.r.session(ctx, home, s.Conn)
	if err != nil {
		return api.FileHash{}, err
	}
	j.cdn.mu.Lock()
	token := j.cdn.token
	j.cdn.mu.Unlock()
	if err := call(ctx, conn, &api.UploadGetCdnFileHashesRequest{FileToken: token, Offset: offset}, j.cdn.add); err != nil {
		return api.FileHash{}, j.cdnError(home, err)
	}
	if h, ok := known(); ok {
		return h, nil
	}
	return api.FileHash{}, j.cdn.blame(home, fmt.Errorf("%w: the server has none for the CDN's bytes at %d", ErrHash, offset))
}

// reupload has the file's DC give the file to the CDN.
func (j *download) reupload(ctx context.Context, s scheduler.Send, token, request []byte) error {
	home := j.route()
	conn, err := j.r.session(ctx, home, s.Conn)
	if err != nil {
		return err
	}
	q := &api.UploadReuploadCdnFileRequest{FileToken: token, RequestToken: request}
	if err := call(ctx, conn, q, j.cdn.add); err != nil {
		return j.cdnError(home, err)
	}
	return errAgain
}
