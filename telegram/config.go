package telegram

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/tl/api"
)

// Bounds of how long the servers' configuration is believed, whatever it says.
const (
	minConfigLife = time.Minute
	maxConfigLife = 24 * time.Hour
)

// A configCache holds the servers' configuration until it expires.
type configCache struct {
	flight flight

	mu      sync.Mutex
	conf    *api.Config
	expires time.Time
}

// expire makes the next use fetch the configuration again.
func (c *configCache) expire() {
	c.mu.Lock()
	c.expires = time.Time{}
	c.mu.Unlock()
}

// fresh is the configuration, nil if it has to be fetched.
func (c *configCache) fresh() *api.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conf == nil || !time.Now().Before(c.expires) {
		return nil
	}
	return c.conf
}

func (c *configCache) set(conf *api.Config) {
	// The life by the server's clock, counted on ours: the two need not agree.
	life := time.Duration(int64(conf.Expires)-int64(conf.Date)) * time.Second
	c.mu.Lock()
	c.conf, c.expires = conf, time.Now().Add(min(max(life, minConfigLife), maxConfigLife))
	c.mu.Unlock()
}

// Config is the servers' configuration, fetched again once it has expired. It
// is shared: do not change it. See core.telegram.org/method/help.getConfig.
func (c *Client) Config(ctx context.Context) (*api.Config, error) {
	for {
		if conf := c.config.fresh(); conf != nil {
			return conf, nil
		}
		if err := c.config.flight.do(ctx, c.fetchConfig); err != nil {
			return nil, err
		}
	}
}

// fetchConfig runs in config.flight. It asks the main session directly: Invoke
// may be what needs the configuration.
func (c *Client) fetchConfig(ctx context.Context) error {
	if c.config.fresh() != nil {
		return nil
	}
	var err error
	for n := range maxBackOffs + 1 {
		if n > 0 {
			if err := pause(ctx, backOffPause(n-1)); err != nil {
				return err
			}
		}
		var l line
		if l, err = c.homeSession(ctx); err != nil {
			return err
		}
		var conf *api.Config
		conf, err = mtproto.Call(ctx, l, &api.HelpGetConfigRequest{})
		if err == nil {
			c.setConfig(conf)
			return nil
		}
		if r := react(err); r == loggedOut && c.LoggedIn() {
			return c.endLogin(err)
		} else if r != backOff {
			break
		}
	}
	return fmt.Errorf("fetch configuration: %w", err)
}

// knowDC makes sure that find has endpoints of dc, fetching the configuration
// once more if not.
func (c *Client) knowDC(ctx context.Context, dc int, find func() []mtproto.Endpoint) error {
	if _, err := c.Config(ctx); err != nil {
		return err
	}
	if len(find()) > 0 {
		return nil
	}
	c.config.expire()
	if _, err := c.Config(ctx); err != nil {
		return err
	}
	if len(find()) > 0 {
		return nil
	}
	return fmt.Errorf("%w %d", ErrUnknownDC, dc)
}
