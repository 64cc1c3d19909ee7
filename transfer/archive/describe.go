package archive

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/tghaul/haul/telegram"
)

// describe fills in what a line of messages.jsonl says of a message, and returns
// its photos and documents by their ids, wherever in it they are. Of a line that
// makes no sense nothing is taken over.
func describe(m *telegram.Message, line []byte) map[string]map[string]any {
	var v struct {
		Date      int64           `json:"date"`
		Message   json.RawMessage `json:"message"`
		GroupedID string          `json:"grouped_id"`
		Out       bool            `json:"out"`
		Post      bool            `json:"post"`
		Views     int             `json:"views"`
		ReplyTo   struct {
			ForumTopic bool            `json:"forum_topic"`
			Message    int             `json:"reply_to_msg_id"`
			Top        int             `json:"reply_to_top_id"`
			Peer       json.RawMessage `json:"reply_to_peer_id"`
		} `json:"reply_to"`
		Replies struct {
			Comments bool `json:"comments"`
			Replies  int  `json:"replies"`
		} `json:"replies"`
	}
	var all map[string]any
	if json.Unmarshal(line, &v) != nil || json.Unmarshal(line, &all) != nil {
		return nil
	}
	_ = json.Unmarshal(v.Message, &m.Text) // bytes that are no text are an object
	m.Date, m.Out, m.Post, m.Views = time.Unix(v.Date, 0).UTC(), v.Out, v.Post, max(v.Views, 0)
	m.GroupedID, _ = strconv.ParseInt(v.GroupedID, 10, 64) // 0 if there is none
	if v.ReplyTo.Peer == nil {
		m.ReplyTo = v.ReplyTo.Message
	}
	if v.ReplyTo.ForumTopic {
		if m.Topic = v.ReplyTo.Top; m.Topic == 0 {
			m.Topic = v.ReplyTo.Message
		}
	}
	if v.Replies.Comments {
		m.Comments = max(v.Replies.Replies, 0)
	}
	media := make(map[string]map[string]any)
	findMedia(all, media)
	return media
}

// findMedia collects photos and documents by their ids.
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

// describeFile fills in what the message says of a file.
func describeFile(f *telegram.File, media map[string]map[string]any) {
	about := media[strconv.FormatInt(f.ID, 10)]
	if about == nil {
		return
	}
	f.MimeType, _ = about["mime_type"].(string)
	f.DC = number(about["dc_id"])
	if about["_"] == "photo" {
		f.Kind, f.MimeType = telegram.KindPhoto, "image/jpeg"
		sizes, _ := about["sizes"].([]any)
		for _, s := range sizes {
			measure(f, s)
		}
	}
	attributes, _ := about["attributes"].([]any)
	for _, a := range attributes {
		measure(f, a)
	}
}

// measure takes over width, height and duration of what has the greatest.
func measure(f *telegram.File, v any) {
	about, _ := v.(map[string]any)
	if w, h := number(about["w"]), number(about["h"]); w*h > f.W*f.H {
		f.W, f.H = w, h
	}
	if s, ok := about["duration"].(float64); ok && s > 0 && s < 1e9 {
		f.Duration = max(f.Duration, time.Duration(s*float64(time.Second)))
	}
}

// number is a whole number of 31 bits, 0 for anything else.
func number(v any) int {
	f, ok := v.(float64)
	if !ok || f < 0 || f > 1<<31-1 {
		return 0
	}
	return int(f)
}
