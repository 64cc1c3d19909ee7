package main

import (
	"fmt"

	"github.com/tghaul/haul/telegram"
)

// checkChats reads the names of chats and links of a command line, as far as
// that needs no account: a mistake is told before somebody has to sign in.
func checkChats(names ...string) error {
	for _, name := range names {
		if _, err := telegram.ParseChat(name); err != nil {
			return err
		}
	}
	return nil
}

// checkTargets is checkChats for what may be a file id of the Bot API too.
func checkTargets(names ...string) error {
	for _, name := range names {
		if !telegram.IsFileID(name) {
			if err := checkChats(name); err != nil {
				return err
			}
		} else if _, err := telegram.ParseFileID(name); err != nil {
			return fmt.Errorf("%s: %w", idName(name), err)
		}
	}
	return nil
}
