package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/urfave/cli/v2"
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
	a := newAsker(c)
	if a.tty == nil {
		return "", fmt.Errorf("%s is not set, and %w", variable, errNobody)
	}
	return a.ask(c.Context, question{text: prompt, hidden: true})
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
