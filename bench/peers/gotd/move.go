package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/gotd/td/telegram"
	"github.com/gotd/td/telegram/downloader"
	"github.com/gotd/td/telegram/message"
	"github.com/gotd/td/telegram/uploader"
	"github.com/gotd/td/tg"
)

// download fetches the document of message 1 into a new file.
func download(ctx context.Context, c *client) (m moved, err error) {
	answer, err := c.API().ChannelsGetMessages(ctx, &tg.ChannelsGetMessagesRequest{
		Channel: c.channel, ID: []tg.InputMessageClass{&tg.InputMessageID{ID: 1}},
	})
	if err != nil {
		return m, err
	}
	docs := documents(answer)
	if len(docs) != 1 {
		return m, fmt.Errorf("message 1 has %d documents", len(docs))
	}
	p := newPool(c)
	defer func() { err = errors.Join(err, p.close()) }()
	f, err := os.OpenFile(c.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	api, err := p.of(ctx, docs[0].DCID)
	if err != nil {
		return m, err
	}
	d := downloader.NewDownloader().WithPartSize(c.part)
	if _, err := d.Download(api, docs[0].AsInputDocumentFileLocation("")).WithThreads(c.threads).Parallel(ctx, f); err != nil {
		return m, err
	}
	return moved{Bytes: docs[0].Size, Files: 1}, nil
}

// hashFile computes the SHA-256 of a file that has been moved, which gotd does not do by itself.
func hashFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(sha256.New(), struct{ io.Reader }{f}, make([]byte, 1<<20))
	return errors.Join(err, f.Close())
}

// upload sends a file to the channel.
func upload(ctx context.Context, c *client) (m moved, err error) {
	invoker, err := c.Pool(int64(c.connections))
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, invoker.Close()) }()
	info, err := os.Stat(c.path)
	if err != nil {
		return m, err
	}
	u := uploader.NewUploader(tg.NewClient(invoker)).WithPartSize(min(c.part, uploader.MaximumPartSize)).WithThreads(c.threads)
	file, err := u.FromPath(ctx, c.path)
	if err != nil {
		return m, err
	}
	_, err = message.NewSender(c.API()).To(c.peer).Media(ctx, message.UploadedDocument(file).
		MIME("application/octet-stream").ForceFile(true).Filename(filepath.Base(c.path)))
	return moved{Bytes: info.Size(), Files: 1}, err
}

// files fetches all documents of the channel, as many at once as it has
// threads, each by one request after the other.
func files(ctx context.Context, c *client) (m moved, err error) {
	if err := os.MkdirAll(c.path, 0o755); err != nil {
		return m, err
	}
	p := newPool(c)
	defer func() { err = errors.Join(err, p.close()) }()
	var bytes, count atomic.Int64
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(c.threads)
	err = c.history(ctx, func(d *tg.Document) error {
		api, err := p.of(ctx, d.DCID)
		if err != nil {
			return err
		}
		g.Go(func() error {
			load := downloader.NewDownloader().WithPartSize(c.part).Download(api, d.AsInputDocumentFileLocation(""))
			if _, err := load.ToPath(inner, filepath.Join(c.path, strconv.FormatInt(d.ID, 10))); err != nil {
				return err
			}
			bytes.Add(d.Size)
			count.Add(1)
			return nil
		})
		return nil
	})
	err = errors.Join(err, g.Wait())
	return moved{Bytes: bytes.Load(), Files: int(count.Load())}, err
}

// history calls do for each document of the channel.
func (c *client) history(ctx context.Context, do func(*tg.Document) error) error {
	for id, seen := 1, 0; ; { // bots may not page: they ask by number
		request := &tg.ChannelsGetMessagesRequest{Channel: c.channel}
		for range 100 {
			request.ID = append(request.ID, &tg.InputMessageID{ID: id})
			id++
		}
		answer, err := c.API().ChannelsGetMessages(ctx, request)
		if err != nil {
			return err
		}
		docs := documents(answer)
		if len(docs) == 0 {
			if seen == 0 {
				return errors.New("the channel has no documents")
			}
			return nil
		}
		for _, d := range docs {
			seen++
			if err := do(d); err != nil {
				return err
			}
		}
	}
}

// documents are those of an answer with messages.
func documents(answer tg.MessagesMessagesClass) (list []*tg.Document) {
	page, ok := answer.AsModified()
	if !ok {
		return nil
	}
	for _, m := range page.GetMessages() {
		msg, ok := m.(*tg.Message)
		if !ok {
			continue
		}
		media, ok := msg.Media.(*tg.MessageMediaDocument)
		if !ok {
			continue
		}
		if d, ok := media.Document.(*tg.Document); ok {
			list = append(list, d)
		}
	}
	return list
}

// A pool has the connections to each DC. It is used by one goroutine.
type pool struct {
	c   *client
	dcs map[int]telegram.CloseInvoker
}

func newPool(c *client) *pool {
	return &pool{c: c, dcs: make(map[int]telegram.CloseInvoker)}
}

// of makes the connections to a DC, if there are none yet.
func (p *pool) of(ctx context.Context, dc int) (*tg.Client, error) {
	invoker := p.dcs[dc]
	if invoker == nil {
		var err error
		if dc == p.c.Config().ThisDC {
			invoker, err = p.c.Pool(int64(p.c.connections))
		} else {
			invoker, err = p.c.DC(ctx, dc, int64(p.c.connections))
		}
		if err != nil {
			return nil, err
		}
		p.dcs[dc] = invoker
	}
	return tg.NewClient(invoker), nil
}

func (p *pool) close() error {
	var failed []error
	for _, invoker := range p.dcs {
		failed = append(failed, invoker.Close())
	}
	return errors.Join(failed...)
}
