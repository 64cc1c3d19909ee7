package browser

import (
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// demo is the archive of haul demo, with its gallery.
func demo(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "demo")
	haul(t, "demo", "--dir", dir)
	haul(t, "gallery", dir)
	return dir
}

// pictured is true when every picture in the window is there.
const pictured = `[...document.querySelectorAll('.picture')].filter((e) => {
	const r = e.getBoundingClientRect();
	return r.bottom > 0 && r.top < innerHeight;
}).every((e) => e.querySelector('.full.shown') && !e.querySelector('.thumb'))`

// TestDemo does with the demo's archive what a person does.
func TestDemo(t *testing.T) {
	dir := demo(t)
	b := open(t, dir, "", look{width: 1280, height: 800})
	want(b, `document.title`, "bigchannel")
	want(b, `haul.all.length === haul.total() && haul.view.length === haul.total() && haul.total() > 200`, true)
	want(b, `document.querySelector('#summary').textContent.startsWith(haul.total() + ' items · ')`, true)
	b.wait(`document.querySelector('.picture')`)
	b.wait(pictured)
	want(b, `[...document.querySelectorAll('img.full')].filter((i) => i.naturalWidth > 100).length > 3`, true)
	t.Run("search", func(t *testing.T) { search(b.on(t)) })
	t.Run("filter", func(t *testing.T) { filter(b.on(t)) })
	t.Run("keyboard", func(t *testing.T) { keyboard(b.on(t)) })
	t.Run("video", func(t *testing.T) { video(b.on(t)) })
	t.Run("sound", func(t *testing.T) { sound(b.on(t)) })
	t.Run("album", func(t *testing.T) { album(b.on(t)) })
	t.Run("links", func(t *testing.T) { links(b.on(t), dir) })
}

// search: / goes there, words narrow the view, Escape clears it.
func search(b *tab) {
	b.shortcut("/", "Slash")
	want(b, `document.activeElement.id`, "search")
	b.press("Álbum FIVE")
	b.wait(`haul.view.length === 5`)
	want(b, `haul.view.every((i) => haul.captionOf(i) === 'An album of five')`, true)
	want(b, `document.querySelectorAll('.tile').length`, 5)
	want(b, `decodeURIComponent(location.hash)`, "#q=Álbum+FIVE")
	b.press(kb.Escape)
	b.wait(`haul.view.length === haul.total()`)
	want(b, `document.querySelector('#search').value`, "")
	b.press("no such thing")
	b.wait(`!document.querySelector('#none').hidden`)
	b.do(chromedp.Click(chromedp.CSS("#clear")))
	b.wait(`haul.view.length === haul.total()`)
	b.run(`document.activeElement.blur()`)
}

// filter: a chip shows one kind and says how many there are.
func filter(b *tab) {
	b.do(chromedp.Click(chromedp.CSS(`.chip[data-kind="video"]`)))
	b.wait(`haul.view.length > 0 && haul.view.every((i) => i.k === 'video')`)
	want(b, `document.querySelector('.chip[aria-pressed="true"]').textContent === 'Videos ' + haul.view.length`, true)
	want(b, `location.hash`, "#type=video")
	b.do(chromedp.Click(chromedp.CSS(`.chip[data-kind="document"]`)))
	b.wait(`haul.view.every((i) => i.k === 'document')`)
	want(b, `document.querySelector('#grid').className`, "list")
	b.do(chromedp.Click(chromedp.CSS(`.chip[data-kind=""]`)))
	b.wait(`haul.view.length === haul.total()`)
	want(b, `location.hash`, "")
}

// keyboard: arrows move, Enter opens, Escape closes, and one is where one was.
func keyboard(b *tab) {
	const at = `(document.activeElement.closest('.tile')?.item.at ?? -1)`
	b.run(`document.activeElement.blur(); scrollTo(0, 0)`)
	b.press(kb.ArrowRight)
	want(b, at, 0)
	b.press(kb.ArrowRight, kb.ArrowRight, kb.ArrowLeft)
	want(b, at, 1)
	b.press(kb.ArrowDown)
	below := eval[int](b, at)
	if below < 3 {
		b.t.Errorf("below tile 1 is tile %d", below)
	}
	b.press(kb.ArrowUp)
	want(b, at, 1)
	b.press(kb.End)
	want(b, at+` === haul.view.length - 1`, true)
	want(b, `(() => { const r = document.activeElement.getBoundingClientRect(); return r.top >= 0 && r.bottom <= innerHeight; })()`, true)
	b.press(kb.Home)
	want(b, at, 0)
	want(b, `document.querySelectorAll('.face[tabindex="0"]').length`, 1)
	b.press(kb.Enter)
	b.wait(`document.querySelector('#viewer').open && document.querySelector('#stage img, #stage video, #stage audio, #stage .notice')`)
	b.press(kb.ArrowRight, kb.ArrowRight, kb.ArrowLeft)
	want(b, `haul.viewing().at`, 1)
	b.press(kb.Escape)
	b.wait(`!document.querySelector('#viewer').open`)
	b.wait(at + ` === 1`)
	b.shortcut("?", "Slash")
	b.wait(`document.querySelector('#help').open`)
	b.press(kb.Escape)
	b.wait(`!document.querySelector('#help').open`)
	b.run(`document.activeElement.blur()`)
}

// video: it plays in place, by the space bar, and stops when it is closed.
func video(b *tab) {
	b.do(chromedp.Click(chromedp.CSS(`.chip[data-kind="video"]`)))
	b.wait(`haul.view.every((i) => i.k === 'video')`)
	b.wait(pictured)
	want(b, `[...document.querySelectorAll('video.full')].every((v) => v.preload === 'metadata' && v.videoWidth === 320)`, true)
	b.run(`document.activeElement.blur(); scrollTo(0, 0)`)
	b.press(kb.ArrowRight)
	b.shortcut(" ", "Space")
	const v = `document.querySelector('#stage video')`
	b.wait(v)
	b.run(v + `.loop = true`) // or it may be over before a busy machine gets to the next line
	b.wait(v + `.currentTime > 0.3`)
	want(b, v+`.error === null && Math.round(`+v+`.duration) === 3 && `+v+`.videoHeight === 240`, true)
	b.shortcut(" ", "Space")
	b.wait(v + `.paused`)
	b.shortcut(" ", "Space")
	b.wait(`!` + v + `.paused`)
	b.press(kb.Escape)
	b.wait(`!document.querySelector('#viewer').open && !` + v)
	b.run(`document.activeElement.blur()`)
	b.press(kb.Escape)
	b.wait(`haul.view.length === haul.total()`)
}

// sound: it plays in its tile, goes on while one looks elsewhere, and pauses.
func sound(b *tab) {
	const a = `document.querySelector('#player audio')`
	b.run(a + `.loop = true`)
	for _, kind := range []string{"audio", "voice"} {
		b.do(chromedp.Click(chromedp.CSS(`.chip[data-kind="` + kind + `"]`)))
		b.wait(`haul.view.length > 0 && haul.view.every((i) => i.k === '` + kind + `') && document.querySelector('.tile')?.item.k === '` + kind + `'`)
		b.do(chromedp.Click(chromedp.CSS(`.tile .face`)))
		b.wait(a + `.currentTime > 0.3 && document.querySelectorAll('.playing').length === 1`)
		want(b, a+`.error === null && `+a+`.duration > 1`, true)
	}
	b.do(chromedp.Click(chromedp.CSS(`.chip[data-kind=""]`)))
	b.wait(`haul.view.length === haul.total()`)
	want(b, a+`.paused`, false)
	b.do(chromedp.Click(chromedp.CSS("#player-close")))
	b.wait(`document.querySelector('#player').hidden && ` + a + `.paused`)
	b.run(`document.activeElement.blur()`)
}

// album: its pictures are next to each other and lead to each other.
func album(b *tab) {
	b.run(`haul.open(haul.view.find((i) => i.g))`)
	b.wait(`document.querySelectorAll('#album .mini').length === 5`)
	b.do(chromedp.Click(chromedp.CSS(`#album .mini:nth-child(3)`)))
	want(b, `document.querySelector('#album [aria-current]').textContent`, "3")
	want(b, `haul.view.filter((i) => i.g).map((i) => i.at - haul.view.find((i) => i.g).at).join()`, "0,1,2,3,4")
	want(b, `document.querySelector('#caption').textContent`, "An album of five")
	b.wait(`document.querySelector('#stage img').naturalWidth > 0`)
	b.press(kb.Escape)
	b.wait(`!document.querySelector('#viewer').open`)
}

// links: the URL tells what is looked at, for others and for the way back.
func links(b *tab, dir string) {
	b.run(`haul.open(haul.view[7])`)
	hash := eval[string](b, `location.hash`)
	b.run(`history.back()`)
	b.wait(`!document.querySelector('#viewer').open`)
	other := open(b.t, dir, hash+"&type=photo", look{width: 400, height: 700, dark: true, calm: true})
	other.wait(`document.querySelector('#viewer').open`)
	want(other, `haul.viewing() === haul.byId(new URLSearchParams(location.hash.slice(1)).get('item'))`, true)
	want(other, `haul.view.length > 0 && haul.view.every((i) => i.k === 'photo')`, true)
	want(other, `document.documentElement.scrollWidth <= innerWidth`, true)
	want(other, `getComputedStyle(document.body).backgroundColor`, "rgb(14, 17, 21)")
}
