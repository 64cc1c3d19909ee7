package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	goqr "github.com/piglig/go-qr"
	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/tghaul/haul/telegram"
)

// A qrAsker shows the codes of a login: drawn, each over the one before, on a
// terminal; as a link, one a line, anywhere else.
type qrAsker struct {
	*asker
	c     *cli.Context
	drawn int // lines of the code that is on the terminal
}

// A loginToken is the event of a code, with --json.
type loginToken struct {
	Event   string    `json:"event"`
	Time    time.Time `json:"time"`
	URL     string    `json:"url"`
	Expires time.Time `json:"expires"`
}

// ShowToken shows a code; see telegram.TokenShower.
func (q *qrAsker) ShowToken(_ context.Context, t telegram.LoginToken) error {
	if q.c.Bool("json") {
		return json.NewEncoder(q.c.App.Writer).Encode(loginToken{"login_token", time.Now(), t.URL, t.Expires})
	}
	screen, ok := q.out.(*os.File)
	if !ok || !term.IsTerminal(int(screen.Fd())) {
		_, err := fmt.Fprintln(q.c.App.Writer, t.URL)
		return err
	}
	lines, width, err := drawQR(t.URL)
	if err != nil {
		return err
	}
	if w, h, err := term.GetSize(int(screen.Fd())); err == nil && (w < width || h <= len(lines)+1) {
		_, err := fmt.Fprintf(screen, "The window is too small for the code (it takes %d columns and %d lines). Open this link where you are signed in:\n%s\n",
			width, len(lines)+2, t.URL)
		return err
	}
	lines = append(lines, "Scan it with Telegram on your phone: Settings > Devices > Link Desktop Device.")
	var b strings.Builder
	if q.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\r", q.drawn) // up to where it begins
	}
	for _, line := range lines {
		b.WriteString(line + "\x1b[K\n")
	}
	q.drawn = len(lines)
	_, err = screen.WriteString(b.String())
	return err
}

const (
	// Black on white whatever the terminal's own colours are: readers need the
	// code dark on light. These two of the 256 are not changed by themes.
	qrColours   = "\x1b[38;5;16;48;5;231m"
	qrNoColours = "\x1b[0m"
	qrQuiet     = 4 // light modules around the code, as its standard asks
)

// drawQR draws a text, two modules above each other in one character. width is
// in columns.
func drawQR(text string) (lines []string, width int, err error) {
	code, err := goqr.EncodeText(text, goqr.Low)
	if err != nil {
		return nil, 0, fmt.Errorf("QR code: %w", err)
	}
	dark := func(x, y int) bool { return code.Module(x, y) } // light outside of the code
	size := code.Size()
	for y := -qrQuiet; y < size+qrQuiet; y += 2 {
		var b strings.Builder
		b.WriteString(qrColours)
		for x := -qrQuiet; x < size+qrQuiet; x++ {
			switch top, bottom := dark(x, y), dark(x, y+1); {
			case top && bottom:
				b.WriteRune('█')
			case top:
				b.WriteRune('▀')
			case bottom:
				b.WriteRune('▄')
			default:
				b.WriteRune(' ')
			}
		}
		lines = append(lines, b.String()+qrNoColours)
	}
	return lines, size + 2*qrQuiet, nil
}
