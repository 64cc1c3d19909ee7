package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tghaul/haul/telegram/dctest"
)

// TestTerminalPassphrase: a passphrase is asked twice when it is new and once
// later, is never shown, and a wrong one says so.
func TestTerminalPassphrase(t *testing.T) {
	const phrase = "a long passphrase"
	cluster, err := dctest.Start(t.Context(), dctest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.Close() })
	store := filepath.Join(t.TempDir(), "store")
	haul := func(args ...string) *screen {
		return onTerminal(t, cluster, append([]string{"--store", store}, args...)...)
	}
	login := []string{"login", "-T", "bot", "--token", dctest.BotToken, "--seal", "passphrase"}
	ask := func(s *screen, prompt, answer string) {
		t.Helper()
		s.expect(prompt)
		for s.echoes() { // it is switched off right after the prompt
			time.Sleep(time.Millisecond)
		}
		s.write(answer + "\n")
	}

	s := haul(login...)
	ask(s, "New passphrase: ", phrase)
	ask(s, "Once more: ", phrase+"!")
	s.expect("not the same twice")
	s.exit(exitFailed)

	s = haul(login...)
	ask(s, "New passphrase: ", phrase)
	ask(s, "Once more: ", phrase)
	s.expect("signed in as")
	s.exit(exitDone)

	s = haul("whoami")
	ask(s, "Passphrase of account default: ", "something else")
	s.expect("wrong passphrase")
	s.exit(exitFailed)
	if strings.Contains(s.all(), "something else") {
		t.Errorf("it is on the screen: %s", s.all())
	}

	s = haul("whoami")
	ask(s, "Passphrase of account default: ", phrase)
	s.expect("home DC 2")
	s.exit(exitDone)
	if strings.Contains(s.all(), phrase) {
		t.Errorf("it is on the screen: %s", s.all())
	}
}
