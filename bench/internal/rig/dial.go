package rig

import (
	"context"
	"errors"
	"fmt"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/telegram/dctest"
)

// Dial makes a client in this process, signed in as the bot of the cluster that
// the configuration names.
func Dial(ctx context.Context, cfg telegram.Config) (*telegram.Client, error) {
	cfg.AppID, cfg.AppHash = 1, "bench"
	client, err := telegram.Dial(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	if !client.LoggedIn() {
		if _, err := client.LoginBot(ctx, dctest.BotToken); err != nil {
			return nil, errors.Join(fmt.Errorf("sign in: %w", err), client.Close())
		}
	}
	return client, nil
}
