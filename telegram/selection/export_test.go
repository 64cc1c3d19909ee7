package selection

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

const desktopChat = `{
 "name": "Films", "type": "public_channel", "id": 1500000001,
 "messages": [
  {"id": -999, "type": "message", "photo": "photos/old.jpg"},
  {"id": 1, "type": "service", "date": "2024-03-01T08:00:00", "actor": "Films", "text": "", "text_entities": []},
  {"id": 2, "type": "message", "date_unixtime": "1709280000", "photo": "photos/photo_1.jpg", "width": 5, "text": ["a", {"type": "bold", "text": "b"}]},
  {"id": 3, "type": "message", "text": "only words"},
  {"id": 4, "type": "message", "file": "(File not included. Change data exporting settings to download.)", "media_type": "video_file", "text": ""},
  {"id": 4, "type": "message", "file": "twice"}
 ]}`

const desktopAccount = `{"about": "Here is the data", "personal_information": {"user_id": 7, "deep": [[1, {"a": [2]}]]},
 "contacts": {"list": [{"user_id": 5, "messages": "no list"}]},
 "chats": {"about": "x", "list": [
  {"name": null, "type": "saved_messages", "id": 7, "messages": [{"id": 9, "file": "a"}]},
  {"name": "Ann", "type": "personal_chat", "id": 8, "messages": []}]},
 "left_chats": {"list": [{"name": "Old", "type": "private_group", "id": 55, "messages": [{"id": 10, "photo": "b"}]}]}}`

const tdlChat = `{"id":1500000001,"messages":[{"id":12,"type":"message","file":"a.bin","date":1709280000,"text":"x"},{"id":11,"type":"message","file":""}]}`

func TestReadExport(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"Desktop, a chat", desktopChat, "0:2 0:4 | Films [-1001500000001] 2"},
		{"Desktop, an account", desktopAccount, "0:9 2:10 |  [me] 1 | Ann [8] 0 | Old [-55] 1"},
		{"tdl", tdlChat, "0:12 |  [-1001500000001 1500000001 -1500000001] 1"},
		{"marked id", `{"id":-1001500000001,"messages":[{"id":12,"file":"a"}]}`, "0:12 |  [-1001500000001] 1"},

		{"nothing", ``, "at byte 0: unexpected EOF"},
		{"a list", `[]`, "want {, got ["},
		{"something else", `{"a": [1, 2, {"b": null}]}`, "lists no messages"},
		{"cut short", desktopChat[:400], "unexpected EOF"},
		{"cut between messages", `{"id":5,"messages":[{"id":1},`, "unexpected EOF"},
		{"something behind", tdlChat + `{}`, "something follows"},
		{"id last", `{"messages":[{"id":1,"file":"a"}],"id":5}`, "messages before the id"},
		{"no such kind", `{"id":5,"type":"planet","messages":[]}`, `unknown type "planet"`},
		{"senseless chat", `{"id":99999999999999999,"messages":[]}`, "is none"},
		{"no number", `{"id":"5","messages":[]}`, "want a number"},
		{"id of a message", `{"id":5,"messages":[{"id":4294967296,"file":"a"}]}`, "no message id"},
		{"half an id", `{"id":5,"messages":[{"id":1.5,"file":"a"}]}`, "no message id"},
		{"no id", `{"id":5,"messages":[{"file":"a"}]}`, "no message id"},
		{"messages that are none", `{"id":5,"messages":[7]}`, "cannot unmarshal number"},
		{"no list", `{"id":5,"messages":{"id":1}}`, "want [, got {"},
		{"deep", `{"x":` + strings.Repeat("[", 300_000), "nested too deeply"},
		{"deep in a message", `{"id":5,"messages":[{"file":` + strings.Repeat("[", 300_000), "max depth"},
		{"long text", `{"x":"` + strings.Repeat("a", 2<<20) + `"}`, "longer than"},
		{"long message", `{"id":5,"messages":[{"file":"` + strings.Repeat("a", 2<<20) + `"}]}`, "longer than"},
		{"many chats", `{"chats":{"list":[` + strings.Repeat(`{"id":5,"messages":[]},`, 11_000), "more than 10000 chats"},
	}
	for _, tt := range tests {
		var got []string
		chats, err := ReadExport(strings.NewReader(tt.text), func(chat, id int) error {
			got = append(got, fmt.Sprintf("%d:%d", chat, id))
			return nil
		})
		if err != nil {
			if !errors.Is(err, ErrExport) || !strings.Contains(err.Error(), tt.want) || chats != nil {
				t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
			}
			continue
		}
		for _, c := range chats {
			got = append(got, "|", c.Name, fmt.Sprint(c.Peers), fmt.Sprint(c.Messages))
		}
		if text := strings.Join(got, " "); text != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, text, tt.want)
		}
	}
}

// A long export is read as a stream: the first message comes before the second
// megabyte is asked for.
func TestReadExportStreams(t *testing.T) {
	rest := &endless{head: strings.NewReader(`{"id":5,"messages":[{"id":1,"file":"a"},`)}
	stop := errors.New("enough")
	seen := 0
	_, err := ReadExport(rest, func(_, id int) error {
		if seen++; seen == 1000 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || errors.Is(err, ErrExport) || rest.given > 1<<20 {
		t.Errorf("%v after %d bytes", err, rest.given)
	}
}

// endless goes on with messages for ever.
type endless struct {
	head  io.Reader
	n     int
	given int
}

func (e *endless) Read(b []byte) (int, error) {
	n, err := e.head.Read(b)
	if errors.Is(err, io.EOF) {
		e.n++
		e.head = strings.NewReader(fmt.Sprintf(`{"id":%d,"file":"some name","text":"some text"},`, e.n+1))
		return e.Read(b)
	}
	e.given += n
	return n, err
}

func TestIDSet(t *testing.T) {
	var s idSet
	for _, id := range []int{1, 2, 63, 64, 511, 512, 1 << 20, 1<<31 - 1} {
		if s.add(id) || !s.add(id) {
			t.Errorf("id %d", id)
		}
	}
	if len(s.blocks) != 4 {
		t.Errorf("%d blocks", len(s.blocks))
	}
}

// FuzzExport: whatever a file has in it, ids make sense and come once.
func FuzzExport(f *testing.F) {
	for _, s := range []string{desktopChat, desktopAccount, tdlChat, `{"id":5,"messages":[{"id":1.0}]}`, `{"chats":{"list":[{}]}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		seen := map[[2]int]bool{}
		chats, err := ReadExport(strings.NewReader(string(b)), func(chat, id int) error {
			if id < 1 || id > 1<<31-1 || seen[[2]int{chat, id}] {
				t.Errorf("message %d of chat %d", id, chat)
			}
			seen[[2]int{chat, id}] = true
			return nil
		})
		if err != nil {
			if !errors.Is(err, ErrExport) {
				t.Errorf("error %v", err)
			}
			return
		}
		n := 0
		for _, c := range chats {
			n += c.Messages
			if len(c.Peers) == 0 || len(c.Name) > maxExportName {
				t.Errorf("chat %+v", c)
			}
		}
		if n != len(seen) {
			t.Errorf("%d messages counted, %d told", n, len(seen))
		}
	})
}
