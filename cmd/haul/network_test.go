package main

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tghaul/haul/telegram"
)

// TestBuiltInIsDialed: without --datacenters the built-in addresses are what is
// dialed first. Nothing leaves: the network is replaced by one that has nobody.
func TestBuiltInIsDialed(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		list *telegram.Datacenters
	}{
		{"production", nil, telegram.Production()},
		{"test", []string{"--test"}, telegram.Test()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("HAUL_DATACENTERS", "")
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var mu sync.Mutex
			var dialed []string
			nobody := func(_ context.Context, _, address string) (net.Conn, error) {
				mu.Lock()
				defer mu.Unlock()
				if dialed = append(dialed, address); len(dialed) == 6 {
					cancel()
				}
				return nil, errors.New("nobody is there")
			}
			app := newApp()
			app.Writer, app.ErrWriter = io.Discard, io.Discard
			app.Metadata = map[string]any{dialKey: nobody}
			args := append([]string{"haul", "--store", t.TempDir(), "--app-id", "1", "--app-hash", "x"}, tt.args...)
			if err := app.RunContext(ctx, append(args, "login", "-T", "bot", "--token", "1:nobody")); err == nil {
				t.Error("it found somebody")
			}
			home := func(address string) bool {
				return slices.ContainsFunc(tt.list.DC, func(dc telegram.DC) bool { return dc.ID == tt.list.HomeDC && dc.Address == address })
			}
			if len(dialed) < 6 || slices.ContainsFunc(dialed, func(a string) bool { return !home(a) }) {
				t.Errorf("dialed %v, want addresses of the home DC", dialed)
			}
		})
	}
}
