package gallery

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/tghaul/haul/telegram"
)

// Limits of what is taken over from a message. Telegram's own are lower.
const (
	maxCaption = 16 << 10 // bytes
	maxThumb   = 4 << 10  // bytes; usual are 200 to 1000
	maxSide    = 1 << 16  // pixels
)

// describe tells the items of a message what a line of messages.jsonl says of
// them. A line that makes no sense says nothing. Of two lines of one message the
// last counts.
func describe(line []byte, known map[int][]*item) {
	if !bytes.Contains(line, []byte(`"photo"`)) && !bytes.Contains(line, []byte(`"document"`)) {
		return // most messages, and these are the expensive ones to parse
	}
	var m map[string]any
	if json.Unmarshal(line, &m) != nil {
		return
	}
	items := known[whole(m["id"])]
	if len(items) == 0 {
		return
	}
	media := make(map[string]map[string]any)
	findMedia(m, media)
	for _, it := range items {
		if date := whole(m["date"]); date > 0 {
			it.Date = int64(date)
		}
		it.Caption, it.Album = cut(text(m["message"]), maxCaption), cut(text(m["grouped_id"]), 20)
		found := media[strconv.FormatInt(it.Document, 10)]
		switch found["_"] {
		case "photo":
			it.photo(found)
		case "document":
			it.document(found)
		}
	}
}

// findMedia collects the photos and documents of a message by their ids,
// wherever in it they are: media, a web page, a poll, a service action.
func findMedia(v any, found map[string]map[string]any) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			findMedia(e, found)
		}
	case map[string]any:
		if id, ok := v["id"].(string); ok && (v["_"] == "photo" || v["_"] == "document") {
			found[id] = v
			return
		}
		for _, e := range v {
			findMedia(e, found)
		}
	}
}

// photo takes over what is known of a photo.
func (it *item) photo(p map[string]any) {
	it.Kind, it.Show = string(telegram.KindPhoto), "image"
	it.sizes(p["sizes"], true)
}

// sizes takes over the inline thumbnail, and of photos the largest size.
func (it *item) sizes(list any, largest bool) {
	all, _ := list.([]any)
	for _, v := range all {
		s, _ := v.(map[string]any)
		if s["_"] == "photoStrippedSize" {
			b, err := base64.StdEncoding.DecodeString(text(s["bytes"]))
			if err == nil && len(b) > 3 && len(b) <= maxThumb && b[0] == 1 {
				it.thumb = b
			}
			continue
		}
		if w, h := whole(s["w"]), whole(s["h"]); largest && w*h > it.Width*it.Height {
			it.side(w, h)
		}
	}
}

// side sets width and height, if they can be.
func (it *item) side(w, h int) {
	if 0 < w && w <= maxSide && 0 < h && h <= maxSide {
		it.Width, it.Height = w, h
	}
}

// document takes over what is known of any other file. Which kind it is is
// decided as telegram does for messages that come from the network.
func (it *item) document(d map[string]any) {
	it.Kind = string(telegram.KindDocument)
	it.sizes(d["thumbs"], false)
	has := make(map[string]map[string]any)
	all, _ := d["attributes"].([]any)
	for _, v := range all {
		a, _ := v.(map[string]any)
		name, _ := a["_"].(string)
		has[strings.TrimPrefix(name, "documentAttribute")] = a
	}
	video, audio := has["Video"], has["Audio"]
	measured := video
	if video == nil {
		measured = audio
		it.side(whole(has["ImageSize"]["w"]), whole(has["ImageSize"]["h"]))
	}
	it.side(whole(measured["w"]), whole(measured["h"]))
	if s, ok := measured["duration"].(float64); ok && s > 0 {
		it.Seconds = min(s, 1e7)
	}
	round := video["round_message"] == true
	switch {
	case round && has["Animated"] != nil:
		it.Kind = string(telegram.KindRound)
	case has["Sticker"] != nil, has["CustomEmoji"] != nil, d["mime_type"] == "application/x-tgsticker":
		it.Kind, it.Title = string(telegram.KindSticker), cut(text(has["Sticker"]["alt"]), 64)
	case has["Animated"] != nil:
		it.Kind = string(telegram.KindAnimation)
	case round:
		it.Kind = string(telegram.KindRound)
	case video != nil:
		it.Kind = string(telegram.KindVideo)
	case audio["voice"] == true:
		it.Kind = string(telegram.KindVoice)
	case audio != nil:
		it.Kind = string(telegram.KindAudio)
		performer, title := cut(text(audio["performer"]), 256), cut(text(audio["title"]), 256)
		it.Title = strings.Trim(performer+" – "+title, " –")
	}
}

// text is a string as messages.jsonl has it: bytes that are no UTF-8 are an
// object with their base64. Those are no text, and so "".
func text(v any) string {
	s, _ := v.(string)
	return s
}

// whole is a number as messages.jsonl has it, 0 for anything else.
func whole(v any) int {
	f, ok := v.(float64)
	if !ok || f < 0 || f > 1<<53 {
		return 0
	}
	return int(f)
}

// cut shortens s to at most n bytes, between characters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}
