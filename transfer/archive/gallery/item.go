package gallery

import (
	"cmp"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/transfer"
	"github.com/tghaul/haul/transfer/archive"
)

// A chat is an archive, as the page knows it.
type chat struct {
	ID    int64  `json:"id,string"` // marked id
	Name  string `json:"name"`
	Items int    `json:"items"`
}

// An item is a file on the page. The names of its fields are short since there
// may be 50,000 of them.
type item struct {
	Chat     int     `json:"c"` // index of the chat
	Message  int     `json:"m"`
	Document int64   `json:"d,string"`
	URL      string  `json:"u"` // from dir, percent-encoded
	Name     string  `json:"n"`
	Size     int64   `json:"s"`
	Date     int64   `json:"t"` // of the message, Unix
	Kind     string  `json:"k"` // a telegram.FileKind
	Show     string  `json:"e,omitempty"`
	Open     bool    `json:"o,omitempty"` // a browser may open it by itself
	Width    int     `json:"w,omitempty"`
	Height   int     `json:"h,omitempty"`
	Seconds  float64 `json:"l,omitempty"`
	Caption  string  `json:"x,omitempty"`
	Title    string  `json:"a,omitempty"` // of music: performer and title; of a sticker: its emoji
	Album    string  `json:"g,omitempty"`
	Small    string  `json:"p,omitempty"` // URL of the thumbnail that was fetched

	thumb []byte // stripped JPEG
	at    int64  // date by which it is sorted: that of the first of its album
}

// How a browser shows files, by their extension. What is in none of these lists
// might run in the browser (HTML and SVG do) or be taken for something that
// does, so the page has no link to it.
var (
	images = extensions("jpg jpeg jfif png gif webp avif bmp")
	videos = extensions("mp4 m4v mov webm mkv ogv")
	sounds = extensions("mp3 m4a aac ogg oga opus wav flac")
	papers = extensions("pdf txt csv json zip 7z rar gz")
)

func extensions(list string) map[string]bool {
	set := make(map[string]bool)
	for _, e := range strings.Fields(list) {
		set["."+e] = true
	}
	return set
}

// newItem makes an item of what the manifest says of a file.
func newItem(chat int, file string, e archive.Entry) *item {
	it := &item{Chat: chat, Message: e.Message, Document: e.Document, URL: escapePath(file), Name: fileName(e), Size: e.Size}
	if date, err := time.Parse(time.RFC3339, e.Date); err == nil {
		it.Date = date.Unix()
	}
	switch ext := strings.ToLower(path.Ext(file)); {
	case images[ext]:
		it.Show, it.Kind, it.Open = "image", string(telegram.KindPhoto), true
	case videos[ext]:
		it.Show, it.Kind, it.Open = "video", string(telegram.KindVideo), true
	case sounds[ext]:
		it.Show, it.Kind, it.Open = "audio", string(telegram.KindAudio), true
	default:
		it.Kind, it.Open = string(telegram.KindDocument), papers[ext]
	}
	return it
}

// fileName is what the sender called a file, to be shown: characters that
// would turn the rest of it around, and so lie about its extension, are not.
func fileName(e archive.Entry) string {
	name, base := e.Name, path.Base(e.Path)
	if name == "" {
		plain, ok := transfer.UnescapeName(base)
		if !ok {
			plain = base
		}
		name = strings.TrimPrefix(plain, strconv.Itoa(e.Message)+"_")
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(name, string(unicode.ReplacementChar)))
}

// escapePath makes a relative URL of a path with slashes.
func escapePath(file string) string {
	parts := strings.Split(file, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return strings.Join(parts, "/")
}

// arrange sorts items by date, oldest first, and keeps albums together.
func arrange(items []*item) []*item {
	type key struct {
		chat  int
		album string
	}
	first := make(map[key]int64)
	for _, it := range items {
		k := key{it.Chat, it.Album}
		if at, ok := first[k]; !ok || it.Date < at {
			first[k] = it.Date
		}
	}
	for _, it := range items {
		if it.at = it.Date; it.Album != "" {
			it.at = first[key{it.Chat, it.Album}]
		}
	}
	slices.SortFunc(items, func(a, b *item) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.Chat, b.Chat), cmp.Compare(a.Album, b.Album),
			cmp.Compare(a.Message, b.Message), cmp.Compare(a.Document, b.Document))
	})
	return items
}
