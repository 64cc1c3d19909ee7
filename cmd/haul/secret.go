package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"
)

// errNobody: a secret is needed, no variable gives it, and nobody is there to type it.
var errNobody = errors.New("there is no terminal to ask for it")

// secret is the value of a variable, or else what a person types, unseen.
// There is no flag for secrets of this sort: other users of a machine can see
// the command lines of all processes. It never waits without a terminal:
// errors wrap errNobody then.
func secret(c *cli.Context, variable, prompt string) (string, error) {
	if v := os.Getenv(variable); v != "" {
		return v, nil
	}
	f, ok := c.App.Reader.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return "", fmt.Errorf("%s is not set, and %w", variable, errNobody)
	}
	_, _ = fmt.Fprint(c.App.ErrWriter, prompt)
	s, err := typeUnseen(c.Context, f)
	_, _ = fmt.Fprintln(c.App.ErrWriter) // what was typed did not end the line
	if err == nil && s == "" {
		err = errors.New("nothing was typed")
	}
	return s, err
}

// minSecret is the least length of a new passphrase, in bytes.
const minSecret = 8

// newSecret is a secret that is typed twice, lest a slip locks its owner out.
func newSecret(c *cli.Context, variable, what string) (string, error) {
	s, err := secret(c, variable, "New "+what+": ")
	if err == nil && len(s) < minSecret {
		err = usagef("the %s has fewer than %d characters", what, minSecret)
	}
	if err != nil || os.Getenv(variable) != "" {
		return s, err
	}
	again, err := secret(c, variable, "Once more: ")
	if err == nil && again != s {
		err = errors.New("these were not the same twice; nothing was changed")
	}
	return s, err
}

// typeUnseen reads a line without echo. Nothing can interrupt the reading of a
// terminal: when ctx ends its goroutine is left behind, and so is the process, soon.
func typeUnseen(ctx context.Context, f *os.File) (string, error) {
	type result struct {
		line []byte
		err  error
	}
	before, err := term.GetState(int(f.Fd()))
	if err != nil {
		return "", err
	}
	done := make(chan result, 1) // nobody may be there to take it
	var reading sync.WaitGroup
	reading.Go(func() {
		b, err := term.ReadPassword(int(f.Fd()))
		done <- result{b, err}
	})
	select {
	case r := <-done:
		return string(r.line), r.err
	case <-ctx.Done():
		_ = term.Restore(int(f.Fd()), before) // echo on again
		return "", ctx.Err()
	}
}
