package browser

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience bounds everything that a test waits for. It is long, since the
// machine may be busy; nothing waits longer than it has to.
const patience = 60 * time.Second

// A tab is a page in a browser of its own.
type tab struct {
	t    *testing.T
	ctx  context.Context // chromedp knows a tab by its context
	page string          // URL
	// refused: the test tries what the page's policy refuses, which is trouble otherwise.
	refused bool

	mu       sync.Mutex
	trouble  []string // errors on the console, and what could not be loaded
	requests []string // URLs
}

// look says how a page is looked at.
type look struct {
	width, height int64
	dark          bool
	calm          bool // less motion
}

// open opens the gallery in dir. When the test ends, nothing may have gone wrong
// in the page, and it may have asked for nothing but what is on the disk.
func open(t *testing.T, dir, hash string, l look) *tab {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.Flag("lang", "en-GB"),
		chromedp.Flag("autoplay-policy", "no-user-gesture-required"),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND"),
		chromedp.Env("TZ=UTC", "HOME="+t.TempDir()),
		chromedp.WSURLReadTimeout(patience),
	)
	if os.Geteuid() == 0 { // there is no sandbox for root
		options = append(options, chromedp.NoSandbox)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx, page: (&url.URL{Scheme: "file", Path: filepath.Join(dir, "haul-gallery", "index.html")}).String()}
	if err := chromedp.Listen(ctx, b.listen); err != nil { // this starts the browser
		t.Fatal(err)
	}
	media := []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: map[bool]string{false: "light", true: "dark"}[l.dark]},
		{Name: "prefers-reduced-motion", Value: map[bool]string{false: "no-preference", true: "reduce"}[l.calm]},
	}
	call(b, network.Enable, network.EnableParams{})
	call(b, log.Enable, cdp.Empty{})
	call(b, runtime.Enable, cdp.Empty{})
	call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: l.width, Height: l.height, DeviceScaleFactor: 1})
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: media})
	b.do(chromedp.Navigate(b.page + hash))
	t.Cleanup(b.check)
	b.wait(`document.documentElement.dataset.ready === 'true'`)
	return b
}

// listen keeps what the page does.
func (b *tab) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
	case *runtime.EventExceptionThrown:
		b.trouble = append(b.trouble, fmt.Sprintf("exception: %s %v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception))
	case *runtime.EventConsoleAPICalled:
		b.trouble = append(b.trouble, fmt.Sprintf("console.%s: %v", e.Type, e.Args))
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			b.trouble = append(b.trouble, fmt.Sprintf("%s: %s (%s)", e.Entry.Level, e.Entry.Text, e.Entry.URL))
		}
	}
}

// check is what must be true of every page, whatever was done with it.
func (b *tab) check() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, text := range b.trouble {
		if b.refused && strings.Contains(text, "Content Security Policy") {
			continue
		}
		b.t.Errorf("the page has trouble: %s", text)
	}
	for _, u := range b.requests {
		if !b.refused && !strings.HasPrefix(u, "file:///") && !strings.HasPrefix(u, "data:") {
			b.t.Errorf("the page asked for %s", u)
		}
	}
	if len(b.requests) == 0 {
		b.t.Error("no requests were seen at all")
	}
}

// on is the same tab for a subtest. The tab is checked when the test that has
// opened it ends.
func (b *tab) on(t *testing.T) *tab {
	return &tab{t: t, ctx: b.ctx, page: b.page}
}

// call is a command of the browser's protocol.
func call[P, R any](b *tab, command cdp.Command[P, R], params P) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, command, params); err != nil {
		b.t.Fatal(err)
	}
}

// do does what a person does in the page.
func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// press presses keys, one after the other.
func (b *tab) press(keys ...string) {
	b.t.Helper()
	for _, k := range keys {
		b.do(chromedp.KeyEvent(k))
	}
}

// shortcut presses a key that the page takes for a command. chromedp.KeyEvent
// would type the character too, as no browser does when a page has taken the key.
func (b *tab) shortcut(key, code string) {
	b.t.Helper()
	for _, kind := range []input.DispatchKeyEventType{input.DispatchKeyEventTypeRawKeyDown, input.DispatchKeyEventTypeKeyUp} {
		call(b, input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: kind, Key: key, Code: code})
	}
}

// eval is the value of an expression in the page.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// run runs a statement in the page.
func (b *tab) run(statement string) {
	b.t.Helper()
	b.do(chromedp.Evaluate[chromedp.Void](statement))
}

// wait waits until an expression is true.
func (b *tab) wait(expression string) {
	b.t.Helper()
	_, err := chromedp.Run(b.ctx, chromedp.Poll[chromedp.Void](expression, chromedp.WithPollingTimeout(patience)))
	if err != nil {
		b.t.Fatalf("waiting for %s: %v", expression, err)
	}
}

// want compares the value of an expression.
func want[T comparable](b *tab, expression string, value T) {
	b.t.Helper()
	if got := eval[T](b, expression); got != value {
		b.t.Errorf("%s is %v, want %v", expression, got, value)
	}
}

// haul runs haul, built once for all tests.
func haul(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), build(), args...)
	cmd.Env = append(os.Environ(), "HAUL_STORE="+t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("haul %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// binary is where TestMain has haul built.
var binary string

var build = sync.OnceValue(func() string {
	cmd := exec.Command("go", "build", "-o", binary, "./cmd/haul")
	cmd.Dir = filepath.Join("..", "..", "..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		panic(fmt.Sprintf("go build: %v\n%s", err, out))
	}
	return binary
})

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "haul-browser-*")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "haul")
		return m.Run()
	}())
}
