package layout

import (
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/telegram/selection"
)

// fields are what a template knows of a file. docs/guide.md lists them. Words
// that captions and filters have too mean the same there. Dates are in UTC, so
// that a path does not depend on where the computer is.
type fields struct {
	Name, Stem, Ext string // as the sender called the file; what is before the last dot, and that dot with what follows
	Size            int64  // bytes
	Type, Mime      string
	Width, Height   int
	Duration        float64 // seconds
	Document        int64

	ID      int       // of the message
	Date    time.Time // of the message
	Text    string    // or caption
	Album   string    // the same for all of an album; "": none
	ReplyTo int

	Chat, Title string // username, or else title
	ChatID      int64  // marked
	Topic       string // title, or else id; "": none
	TopicID     int

	// What tdl calls them.
	DialogID                  int64 // not marked
	MessageID                 int
	MessageDate, DownloadDate int64 // Unix time
	FileName, FileCaption     string
	FileSize                  string // for people
}

func newFields(s Subject) fields {
	m, f := s.Message, s.File
	ext := path.Ext(f.Name)
	v := fields{
		Name: own(f.Name), Stem: own(strings.TrimSuffix(f.Name, ext)), Ext: own(ext), Size: f.Size, Type: selection.KindName(f.Kind), Mime: own(f.MimeType),
		Width: f.W, Height: f.H, Duration: f.Duration.Seconds(), Document: f.ID,
		ID: m.ID, Date: m.Date.UTC(), Text: own(m.Text), ReplyTo: m.ReplyTo,
		Chat: own(m.Peer.Username), Title: own(m.Peer.Title), ChatID: m.Peer.MarkedID(), Topic: own(s.Topic), TopicID: m.Topic,
		DialogID: m.Peer.ID, MessageID: m.ID, MessageDate: m.Date.Unix(), DownloadDate: s.Now.Unix(), FileSize: size(f.Size),
	}
	v.FileName, v.FileCaption = v.Name, v.Text
	if v.Chat == "" {
		v.Chat = v.Title
	}
	if v.Chat == "" {
		v.Chat = strconv.FormatInt(v.ChatID, 10)
	}
	if m.GroupedID != 0 {
		v.Album = strconv.FormatInt(m.GroupedID, 10)
	}
	if v.TopicID == 0 && m.Peer.Forum {
		v.TopicID = generalTopic
	}
	if v.Topic == "" && v.TopicID != 0 {
		v.Topic = strconv.Itoa(v.TopicID)
	}
	return v
}

// generalTopic is the id of the topic that every forum has.
const generalTopic = 1

// own takes the slashes of a stranger out of the way.
func own(text string) string { return strings.ReplaceAll(text, "/", foreignSlash) }

// TopicOf is the id of the topic that a message is in; 0: its chat is no forum.
func TopicOf(m *telegram.Message) int {
	if m.Topic == 0 && m.Peer.Forum {
		return generalTopic
	}
	return m.Topic
}

// size writes a size for people.
func size(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, i := float64(n)/unit, 0
	for ; value >= unit && i < 3; i++ {
		value /= unit
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGT"[i])
}
