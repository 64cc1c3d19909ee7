package media

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	// frameTime is how long ffmpeg may take for one picture, frameGrace how long
	// after that its pipes may.
	frameTime  = 20 * time.Second
	frameGrace = 2 * time.Second
	// frameAt is how far into a video the picture is taken, at most; of short ones
	// after a tenth.
	frameAt = 5 * time.Second
)

// Frame has ffmpeg make a preview of a video: program is its path, length that
// of the video. The file must be one that Probe has found to be a Video. It ends
// with ctx, and after frameTime in any case.
//
// The video is a stranger's. Nothing but an MP4 is seen in it, whatever it looks
// like, and no file but itself is opened: lists of other files, which ffmpeg
// would follow, are none for it.
func Frame(ctx context.Context, program, path string, length time.Duration) ([]byte, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, frameTime)
	defer cancel()
	at := min(length/10, frameAt)
	side := strconv.Itoa(MaxThumbSide)
	cmd := exec.CommandContext(ctx, program, "-nostdin", "-hide_banner", "-v", "error", "-threads", "1",
		"-protocol_whitelist", "file", "-f", "mov", "-ss", strconv.FormatFloat(at.Seconds(), 'f', 3, 64), "-i", "file:"+path,
		"-map", "0:v:0", "-frames:v", "1", "-vf", "scale=w="+side+":h="+side+":force_original_aspect_ratio=decrease",
		"-c:v", "mjpeg", "-q:v", "5", "-f", "image2pipe", "pipe:1")
	cmd.WaitDelay = frameGrace
	out, trouble := &capped{left: MaxThumb, over: cancel}, &capped{left: 1 << 10, over: func() {}}
	cmd.Stdout, cmd.Stderr = out, trouble
	if err := cmd.Run(); err != nil {
		switch {
		case out.spilt:
			return nil, fmt.Errorf("ffmpeg made a picture of more than %d bytes", MaxThumb)
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			return nil, fmt.Errorf("ffmpeg took longer than %v", frameTime)
		case ctx.Err() != nil:
			return nil, ctx.Err()
		}
		words, _, _ := strings.Cut(strings.TrimSpace(trouble.buf.String()), "\n")
		return nil, fmt.Errorf("ffmpeg: %w: %s", err, words)
	}
	return out.buf.Bytes(), CheckThumb(out.buf.Bytes())
}

// A capped is a buffer that takes only so much, and drops the rest. It has the
// buffer and is none: io.Copy would go past Write.
type capped struct {
	buf   bytes.Buffer
	left  int
	over  func() // is called when there is more
	spilt bool
}

func (c *capped) Write(b []byte) (int, error) {
	n := min(len(b), c.left)
	c.left -= n
	c.buf.Write(b[:n])
	if n < len(b) {
		c.spilt = true
		c.over()
	}
	return len(b), nil
}
