package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/tghaul/haul/telegram"
)

// scriptAsker is an asker without a terminal.
func scriptAsker(stdin io.Reader, given map[string]string) *asker {
	app := cli.NewApp()
	app.Reader, app.ErrWriter = stdin, io.Discard
	a := newAsker(cli.NewContext(app, nil, nil))
	a.given = given
	return a
}

// A standard input that stays open and silent must not block a script, unless
// it has announced a line by "-".
func TestSilentStdin(t *testing.T) {
	for _, announced := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r, w := io.Pipe()
			given := map[string]string{}
			if announced {
				given["code"] = fromStdin
			}
			a := scriptAsker(r, given)
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			start := time.Now()
			_, err := a.Code(ctx, telegram.CodeRequest{SentCode: telegram.SentCode{Kind: telegram.CodeSMS}})
			took := time.Since(start)
			var usage *usageErr
			switch {
			case !announced && (!errors.As(err, &usage) || took != stdinPatience || !strings.Contains(err.Error(), "--code is missing: Telegram has sent a code by SMS.")):
				t.Errorf("got %v after %v", err, took)
			case announced && (!errors.Is(err, context.DeadlineExceeded) || took != time.Hour):
				t.Errorf("announced: got %v after %v", err, took)
			}
			_ = w.Close() // the read that is left behind ends
			a.reads.Wait()
		})
	}
}

// Flags answer once, then lines do, the last of which needs no end.
func TestAnswers(t *testing.T) {
	a := scriptAsker(strings.NewReader("22222\r\n one more "), map[string]string{"code": "11111", "password": fromStdin})
	for i, want := range []string{"11111", "22222"} {
		got, err := a.Code(t.Context(), telegram.CodeRequest{})
		if got != want || err != nil {
			t.Errorf("answer %d is %q, %v; want %q", i, got, err, want)
		}
	}
	if got, err := a.Password(t.Context(), telegram.PasswordRequest{}); got != " one more " || err != nil { // blanks count in a password
		t.Errorf("password %q, %v", got, err)
	}
	wrong := telegram.PasswordRequest{Problem: telegram.ErrPasswordWrong}
	if _, err := a.Password(t.Context(), wrong); !errors.Is(err, telegram.ErrPasswordWrong) {
		t.Errorf("at the end: %v", err)
	}
}

// Each way a code can come is explained, in other words.
func TestCodeTexts(t *testing.T) {
	seen := map[string]telegram.CodeKind{}
	for _, kind := range []telegram.CodeKind{
		telegram.CodeApp, telegram.CodeSMS, telegram.CodeCall, telegram.CodeFlashCall, telegram.CodeMissedCall, telegram.CodeEmail,
		telegram.CodeEmailSetUp, telegram.CodeFragment, telegram.CodeFirebase, telegram.CodeWord, telegram.CodePhrase, "of the future",
	} {
		text := codeText(telegram.SentCode{Kind: kind, Length: 5, Detail: "clue\x1b"})
		if seen[text] != "" || strings.ContainsAny(text, "\x1b\n") {
			t.Errorf("%s: %q, as %s", kind, text, seen[text])
		}
		seen[text] = kind
		switch kind {
		case telegram.CodeFlashCall, telegram.CodeMissedCall, telegram.CodeEmail, telegram.CodeEmailSetUp, telegram.CodeFragment, telegram.CodeWord, telegram.CodePhrase:
			if !strings.Contains(text, "clue") {
				t.Errorf("%s: %q does not have the detail", kind, text)
			}
		default:
		}
	}
}

func TestMaskPhone(t *testing.T) {
	for in, want := range map[string]string{"": "", "12345": "", "9996620001": "+999*****01", "123456": "+123*56"} {
		if got := maskPhone(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}
