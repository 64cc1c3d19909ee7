package transfer

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/tghaul/haul/scheduler"
	"github.com/tghaul/haul/tl/api"
	"github.com/tghaul/haul/transfer/media"
)

// previewLife is how long an uploaded preview is believed to be there.
const previewLife = time.Hour

// preview is the preview of a document, uploaded; nil if there is none. It is
// made once for each opening of the file.
func (u *upload) preview(ctx context.Context) (api.InputFileClass, error) {
	if u.u.Thumb == nil || u.shape().photo {
		return nil, nil //nolint:nilnil // no preview is no error
	}
	if u.thumb != nil && time.Since(u.thumbAt) < previewLife {
		return u.thumb, nil
	}
	if !u.thumbMade {
		jpeg, err := u.u.Thumb(ctx)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err == nil && len(jpeg) > 0 {
			err = media.CheckThumb(jpeg)
		}
		if err != nil {
			u.note(fmt.Sprintf("has no preview: %v", err))
			jpeg = nil
		}
		u.thumbMade, u.thumbBytes = true, jpeg
	}
	if len(u.thumbBytes) == 0 {
		return nil, nil //nolint:nilnil // as above
	}
	f, err := u.sendPreview(ctx)
	if err != nil {
		return nil, fmt.Errorf("send the preview: %w", err)
	}
	u.thumb, u.thumbAt = f, time.Now()
	return f, nil
}

// sendPreview uploads the preview. It has one part, by saveFilePart whatever
// the size of the file, so it goes beside the file's own parts.
func (u *upload) sendPreview(ctx context.Context) (api.InputFileClass, error) {
	r := u.run
	q := &api.UploadSaveFilePartRequest{FileID: randomID(), Bytes: u.thumbBytes}
	route := func() scheduler.Route {
		return scheduler.Route{DC: r.tg.HomeDC(), Use: scheduler.Upload, Method: q.TypeName()}
	}
	err := r.ask(ctx, route, func(int) {}, func(s Session) error {
		return call(ctx, s, q, func(ok bool) error {
			if !ok {
				return fmt.Errorf("%w: it could not save the preview", errServer)
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	sum := md5.Sum(u.thumbBytes)
	return &api.InputFile{ID: q.FileID, Parts: 1, Name: "thumb.jpg", MD5Checksum: hex.EncodeToString(sum[:])}, nil
}
