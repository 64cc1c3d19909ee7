package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/tghaul/haul/telegram"
)

// An asker answers the questions of a login: from flags and variables, each
// once; then by a person at a terminal; or else from lines of standard input.
type asker struct {
	given map[string]string // values of flags that were not used yet
	lines *bufio.Reader     // standard input
	tty   *os.File          // standard input if it is a terminal, else nil
	out   io.Writer         // for questions
	reads sync.WaitGroup
}

// stdinPatience is how long a script has to deliver a line that it did not
// announce by "-": one that writes nothing at all must not block.
const stdinPatience = 5 * time.Second

// fromStdin as the value of a flag announces a line on standard input.
const fromStdin = "-"

func newAsker(c *cli.Context) *asker {
	a := &asker{given: map[string]string{}, lines: bufio.NewReader(c.App.Reader), out: c.App.ErrWriter}
	for _, name := range []string{"phone", "code", "password"} {
		if v := c.String(name); v != "" {
			a.given[name] = v
		}
	}
	if f, ok := c.App.Reader.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		a.tty = f
	}
	return a
}

// A question is about the value of a flag.
type question struct {
	flag   string
	text   string // for a person
	hidden bool   // not echoed
}

// errNoInput: nobody is there to answer.
var errNoInput = errors.New("no input")

// ask returns an answer that is not empty. Errors: errNoInput, ctx's.
func (a *asker) ask(ctx context.Context, q question) (string, error) {
	v, ok := a.given[q.flag]
	delete(a.given, q.flag)
	if ok && v != fromStdin {
		return v, nil
	}
	if a.tty == nil {
		return a.scriptLine(ctx, ok)
	}
	for {
		if _, err := fmt.Fprint(a.out, q.text); err != nil {
			return "", err
		}
		line, err := a.read(ctx, q.hidden)
		if q.hidden {
			_, _ = fmt.Fprintln(a.out) // what the person typed did not end the line
		}
		if err != nil || strings.TrimSpace(line) != "" {
			return line, err
		}
	}
}

// scriptLine is the next line of standard input.
func (a *asker) scriptLine(ctx context.Context, announced bool) (string, error) {
	bounded := ctx
	if !announced {
		var cancel context.CancelFunc
		bounded, cancel = context.WithTimeout(ctx, stdinPatience)
		defer cancel()
	}
	line, err := a.read(bounded, false)
	if err != nil && ctx.Err() == nil && bounded.Err() != nil {
		return "", errNoInput
	}
	return line, err
}

// read reads a line. Nothing can interrupt the reading of standard input, so
// that its goroutine is left behind when ctx ends: then the process does, too.
func (a *asker) read(ctx context.Context, hidden bool) (string, error) {
	type result struct {
		line string
		err  error
	}
	done := make(chan result, 1) // nobody may be there to take it
	var before *term.State
	if hidden {
		before, _ = term.GetState(int(a.tty.Fd()))
	}
	a.reads.Go(func() {
		if hidden {
			b, err := term.ReadPassword(int(a.tty.Fd()))
			done <- result{string(b), err}
			return
		}
		line, err := a.lines.ReadString('\n')
		if line != "" {
			err = nil // the last line need not have an end
		}
		done <- result{strings.TrimRight(line, "\r\n"), err}
	})
	select {
	case r := <-done:
		if errors.Is(r.err, io.EOF) {
			r.err = errNoInput
		}
		return r.line, r.err
	case <-ctx.Done():
		if before != nil {
			_ = term.Restore(int(a.tty.Fd()), before) // echo on again
		}
		return "", ctx.Err()
	}
}

// say tells a person something, and nobody else.
func (a *asker) say(format string, args ...any) {
	if a.tty != nil {
		_, _ = fmt.Fprintf(a.out, format+"\n", args...)
	}
}

// phoneFirst makes sure of a number before anything is connected, unless
// somebody is signed in.
func (a *asker) phoneFirst(ctx context.Context, acc *account) error {
	s, err := acc.vault.Load()
	if err != nil || s != nil && s.User != nil {
		return err
	}
	phone, err := a.phone(ctx)
	if err == nil {
		a.given["phone"] = phone
	}
	return err
}

// phone asks for a number until it can be one.
func (a *asker) phone(ctx context.Context) (string, error) {
	for {
		phone, err := a.ask(ctx, question{flag: "phone", text: "Phone number, in international form: "})
		if errors.Is(err, errNoInput) {
			return "", usagef("--phone is missing: give the number by --phone, HAUL_PHONE or a line of standard input")
		}
		if err != nil {
			return "", err
		}
		if _, err = telegram.CleanPhone(phone); err == nil || a.tty == nil {
			return phone, err
		}
		a.say("That is no phone number: it begins with the country code, as in +49 151 23456789.")
	}
}

// Code asks for a login code; see telegram.CodeAsker.
func (a *asker) Code(ctx context.Context, r telegram.CodeRequest) (string, error) {
	switch {
	case errors.Is(r.Problem, telegram.ErrCodeInvalid):
		a.say("That is not the code.")
	case errors.Is(r.Problem, telegram.ErrCodeExpired):
		a.say("That code has expired; another one was sent. %s", codeText(r.SentCode))
	case r.Problem != nil:
		a.say("%s", problemText(r.Problem))
	default:
		a.say("%s", codeText(r.SentCode))
	}
	if r.Problem == nil || errors.Is(r.Problem, telegram.ErrCodeExpired) {
		a.say("%s", resendText(r.SentCode))
	}
	code, err := a.ask(ctx, question{flag: "code", text: "Code: "})
	switch {
	case errors.Is(err, errNoInput) && r.Problem != nil:
		return "", r.Problem
	case errors.Is(err, errNoInput):
		return "", usagef("--code is missing: %s Then run it again with --code, HAUL_CODE or a line of standard input", codeText(r.SentCode))
	case err != nil:
		return "", err
	case strings.EqualFold(strings.TrimSpace(code), "resend"):
		return "", telegram.ErrResendCode
	}
	return code, nil
}

// Password asks for the two-step password; see telegram.PasswordAsker.
func (a *asker) Password(ctx context.Context, r telegram.PasswordRequest) (string, error) {
	if r.Problem != nil {
		a.say("That is not the password.")
	}
	hint := ""
	if r.Hint != "" {
		hint = fmt.Sprintf(" (hint: %s)", printable(r.Hint))
	}
	password, err := a.ask(ctx, question{flag: "password", text: "Two-step password" + hint + ": ", hidden: true})
	switch {
	case errors.Is(err, errNoInput) && r.Problem != nil:
		return "", r.Problem
	case errors.Is(err, errNoInput):
		return "", usagef("--password is missing: the account has a two-step password%s; give it by HAUL_PASSWORD, --password or a line of standard input", hint)
	}
	return password, err
}

// printable is a text from the server without what could move the cursor, or
// turn the direction of writing.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return -1
		}
		return r
	}, s)
}

// problemText says why there is no other code.
func problemText(err error) string {
	if errors.Is(err, telegram.ErrCodeUnavailable) {
		return "There is no other way to send a code: use the one that was sent."
	}
	_, when, _ := strings.Cut(err.Error(), telegram.ErrCodeEarly.Error()+": ")
	return "It is too early for another code: " + when + "."
}

// codeText says in a sentence where a code is to be found.
func codeText(s telegram.SentCode) string {
	detail := printable(s.Detail)
	switch s.Kind {
	case telegram.CodeApp:
		return "Telegram has sent a code to your other devices: it is in the chat \"Telegram\"."
	case telegram.CodeSMS:
		return "Telegram has sent a code by SMS."
	case telegram.CodeCall:
		return "Telegram calls you, and a voice tells the code."
	case telegram.CodeFlashCall:
		return fmt.Sprintf("Telegram calls you and hangs up: the code is the whole number that calls (it looks like %s).", detail)
	case telegram.CodeMissedCall:
		return fmt.Sprintf("Telegram calls you and hangs up: the code is the last %d digits of the number that calls (it begins with %s).", s.Length, detail)
	case telegram.CodeEmail:
		return fmt.Sprintf("Telegram has sent a code by e-mail to %s.", detail)
	case telegram.CodeFragment:
		return fmt.Sprintf("This is an anonymous number: its code is shown at %s.", detail)
	case telegram.CodeFirebase:
		return "Telegram has sent the code in a way that only its own apps can receive: ask for another one."
	case telegram.CodeWord:
		return fmt.Sprintf("Telegram has sent an SMS with a word%s: type the word.", beginning(detail))
	case telegram.CodePhrase:
		return fmt.Sprintf("Telegram has sent an SMS with a phrase%s: type all of it.", beginning(detail))
	default:
		return "Telegram has sent a code."
	}
}

func beginning(s string) string {
	if s == "" {
		return ""
	}
	return fmt.Sprintf(" that begins with %q", s)
}

// resendText says how another code is to be had.
func resendText(s telegram.SentCode) string {
	how := map[telegram.CodeKind]string{
		telegram.CodeSMS: " by SMS", telegram.CodeCall: " by a call", telegram.CodeFlashCall: " by a call that hangs up",
		telegram.CodeMissedCall: " by a call that hangs up", telegram.CodeFragment: " at fragment.com",
	}[s.Next]
	text := "Type resend to get another one" + how
	if wait := time.Until(s.Resend); wait > 0 {
		text += fmt.Sprintf(", in %v or later", wait.Truncate(time.Second)+time.Second)
	}
	return text + "."
}
