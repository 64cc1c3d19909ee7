package dctest

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestLoadScenario(t *testing.T) {
	text := `{
		"seed": 7, "home_dc": 4,
		"dcs": [{"id": 1}, {"id": 4, "media_only": true}, {"id": 203, "cdn": true}],
		"accounts": [{"token": "5:x", "premium": true}, {"phone": "+99966 1 0002", "code": "11111", "dc": 1}],
		"channels": [{"username": "films", "title": "Films", "files": [
			{"kind": "video", "count": 3, "min_size": 1000000, "max_size": 2000000, "dc": 1, "cdn": true},
			{"kind": "text", "count": 2}]}],
		"flood": [{"method": "upload.getFile", "kind": "sliding_window", "window": "10s", "burst": 5, "premium": true}],
		"faults": [{"kind": "reset", "rate": 0.01}, {"kind": "error", "method": "help.*", "at": [3], "code": 500, "message": "WORKER_BUSY_TOO_LONG_RETRY"}],
		"reference_lifetime": "1h30m", "rtt": "40ms", "conn_bandwidth": 1000000
	}`
	c, err := LoadScenario(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := time.Duration(c.ReferenceLifetime), 90*time.Minute; got != want {
		t.Errorf("reference_lifetime = %v, want %v", got, want)
	}
	if c.Seed != 7 || c.HomeDC != 4 || len(c.DCs) != 3 || !c.Accounts[0].Premium || c.Channels[0].Files[0].Count != 3 || c.Flood[0].Burst != 5 || len(c.Faults) != 2 {
		t.Errorf("got %+v", c)
	}
	start(t, c)
}

func TestScenarioErrors(t *testing.T) {
	channel := func(files string) string { return `{"channels": [{"username": "a", "files": [` + files + `]}]}` }
	tests := []struct{ name, text, want string }{
		{"empty", ``, "line 1: EOF"},
		{"no object", `[]`, "line 1: json: cannot unmarshal array"},
		{"unknown field", "{\n\"seeds\": 1}", `line 2: json: unknown field "seeds"`},
		{"unknown field inside", `{"dcs": [{"idd": 1}]}`, `unknown field "idd"`},
		{"wrong type", "{\"seed\":\n\"x\"}", "line 2: json: cannot unmarshal string"},
		{"syntax", "{\n\n\"seed\" 1}", "line 3: invalid character"},
		{"two objects", `{} {}`, "something follows the object"},
		{"duration", `{"rtt": "5 parsecs"}`, "time: unknown unit"},
		{"negative duration", `{"rtt": "-1s"}`, "negative duration"},
		{"bandwidth", `{"dc_bandwidth": -1}`, "a bandwidth is negative"},
		{"dc id", `{"dcs": [{"id": 0}, {"id": 2}]}`, "dcs[0]: id 0 is not in 1..999"},
		{"dc twice", `{"dcs": [{"id": 2}, {"id": 2}]}`, "dcs[1]: id 2 is there twice"},
		{"cdn with media", `{"dcs": [{"id": 2}, {"id": 9, "cdn": true, "media_only": true}]}`, "a CDN DC has no media-only endpoint"},
		{"home missing", `{"home_dc": 3}`, "home_dc 3 is not an ordinary one of dcs"},
		{"home is cdn", `{"home_dc": 203}`, "home_dc 203 is not an ordinary one of dcs"},
		{"account without", `{"accounts": [{}]}`, "accounts[0]: want either a token or a phone"},
		{"account with both", `{"accounts": [{"token": "1:a", "phone": "+123456", "code": "1"}]}`, "want either a token or a phone"},
		{"phone without code", `{"accounts": [{"phone": "+123456"}]}`, "needs a number in international form and a code"},
		{"account that is a bot with a password", `{"accounts": [{"token": "1:a", "password": "x"}]}`, "accounts[0]: password, banned, scan_after and takeout_delay are for users"},
		{"hint alone", `{"accounts": [{"phone": "+123456", "code": "1", "hint": "x"}]}`, "a hint without a password"},
		{"long phone", `{"accounts": [{"phone": "+1234567890123456", "code": "1"}]}`, "needs a number in international form"},
		{"code type", `{"accounts": [{"phone": "+123456", "code": "1", "code_type": "pigeon"}]}`, `unknown code_type "pigeon"`},
		{"resend type", `{"accounts": [{"phone": "+123456", "code": "1", "resend_types": ["app"]}]}`, `resend_types: no code is sent again by "app"`},
		{"codes a day", `{"codes_per_day": -1}`, "codes_per_day is -1"},
		{"account at no dc", `{"accounts": [{"token": "1:a", "dc": 9}]}`, "accounts[0]: dc 9 is not"},
		{"accounts alike", `{"accounts": [{"token": "1:a"}, {"token": "1:a"}]}`, "two accounts"},
		{"bots alike", `{"accounts": [{"token": "1:a"}, {"token": "1:b"}]}`, "two bots have the id 1"},
		{"username", `{"channels": [{"username": "a b"}]}`, `channels[0]: username "a b" is none`},
		{"usernames alike", `{"channels": [{"username": "aa"}, {"username": "AA"}]}`, "two channels are called AA"},
		{"kind", channel(`{"kind": "song"}`), `channels[0]: files[0]: unknown kind "song"`},
		{"count", channel(`{"kind": "text", "count": -1}`), "files[0]: count -1"},
		{"too many", channel(`{"kind": "text", "count": 1073741824}, {"kind": "text", "count": 1}`), "files[1]: count 1 is not in 0..0"},
		{"sizes", channel(`{"kind": "document", "min_size": 5, "max_size": 4}`), "sizes 5 to 4"},
		{"too big", channel(`{"kind": "document", "max_size": 9000000000}`), "sizes 0 to 9000000000"},
		{"file at no dc", channel(`{"kind": "text", "dc": 9}`), "files[0]: dc 9"},
		{"file at the cdn", channel(`{"kind": "text", "dc": 203}`), "files[0]: dc 203"},
		{"cdn without one", `{"dcs": [{"id": 2}], "channels": [{"files": [{"kind": "photo", "cdn": true}]}]}`, "none of dcs is a CDN DC"},
		{"flood kind", `{"flood": [{"method": "a", "kind": "b", "burst": 1}]}`, `flood[0]: unknown kind "b"`},
		{"flood rate", `{"flood": [{"method": "a", "kind": "token_bucket", "burst": 1}]}`, "needs a rate above 0"},
		{"flood window", `{"flood": [{"method": "a", "kind": "fixed_window", "burst": 1}]}`, "needs a window above 0"},
		{"flood burst", `{"flood": [{"method": "a", "kind": "concurrency"}]}`, "burst is 0"},
		{"flood method", `{"flood": [{"kind": "concurrency", "burst": 1}]}`, "method is missing"},
		{"flood wait", `{"flood": [{"method": "a", "kind": "concurrency", "burst": 1, "wait": -1}]}`, "wait is -1"},
		{"fault kind", `{"faults": [{"kind": "fire"}]}`, `faults[0]: unknown kind "fire"`},
		{"fault never", `{"faults": [{"kind": "reset"}]}`, "reset never strikes"},
		{"fault rate", `{"faults": [{"kind": "reset", "rate": 1.5}]}`, "rate is 1.5"},
		{"fault at", `{"faults": [{"kind": "reset", "at": [0]}]}`, "counts requests from 1"},
		{"fault error", `{"faults": [{"kind": "error", "rate": 1}]}`, "an error needs code and message"},
		{"fault method", `{"faults": [{"kind": "gone", "rate": 1, "method": "help.getConfig"}]}`, "gone concerns upload.getFile"},
		{"fault seconds", `{"faults": [{"kind": "flood_wait", "rate": 1, "seconds": -1}]}`, "seconds is -1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := LoadScenario(strings.NewReader(tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want one with %q", err, tt.want)
			}
			if !errors.Is(err, ErrConfig) {
				t.Errorf("%v does not wrap ErrConfig", err)
			}
		})
	}
}

func TestScenarioTooLong(t *testing.T) {
	_, err := LoadScenario(strings.NewReader(strings.Repeat(" ", maxScenario) + "{}"))
	if !errors.Is(err, ErrConfig) {
		t.Errorf("got %v, want ErrConfig", err)
	}
}

// FuzzLoadScenario: what is accepted is written and read again the same way.
func FuzzLoadScenario(f *testing.F) {
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"seed": 3, "rtt": "1ms", "channels": [{"username": "a", "specials": true, "files": [{"kind": "text", "count": 4}]}]}`))
	f.Add([]byte(`{"flood": [{"method": "upload.*", "kind": "growing", "rate": 2, "burst": 1}], "faults": [{"kind": "reset", "at": [1]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := LoadScenario(strings.NewReader(string(b)))
		if err != nil {
			return
		}
		text, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		again, err := LoadScenario(strings.NewReader(string(text)))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		text2, err := json.Marshal(again)
		if err != nil {
			t.Fatal(err)
		}
		if string(text) != string(text2) {
			t.Errorf("got  %s\nwant %s", text2, text)
		}
	})
}
