package main

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/mtproto/proxy"
	"github.com/tghaul/haul/mtproto/transport"
	"github.com/tghaul/haul/telegram"
)

// networkFlags say which Telegram to connect to, and by which way.
func networkFlags() []cli.Flag {
	return []cli.Flag{
		stringFlag("datacenters", "", "connect to the data centers of this `FILE` instead of Telegram's"),
		boolFlag("test", "connect to Telegram's test data centers, which have accounts of their own"),
		stringFlag("proxy", "", "go through this proxy: `URL` is socks5://[USER:PASSWORD@]HOST:PORT, http://…, or an MTProxy link (tg://proxy?…, https://t.me/proxy?…)"),
		stringFlag("transport", transport.Intermediate.String(), "framing on the wire: abridged, intermediate, padded or full"),
		boolFlag("no-obfuscation", "send the framing as it is; only with --datacenters"),
	}
}

// dialKey is where the app's metadata may have a way to dial in place of the
// network's: tests put one there that goes nowhere else.
const dialKey = "dial"

// network fills in where to connect, and by which way.
func network(c *cli.Context, cfg *telegram.Config) error {
	var err error
	if cfg.Datacenters, err = datacenters(c); err != nil {
		return err
	}
	if cfg.Framing, err = transport.ParseFraming(c.String("transport")); err != nil {
		return usagef("--transport: %w", err)
	}
	if cfg.Plain = c.Bool("no-obfuscation"); cfg.Plain && c.String("datacenters") == "" {
		return usagef("--no-obfuscation is for servers of one's own: it goes with --datacenters")
	}
	if cfg.Framing == transport.Full && !cfg.Plain {
		return usagef("--transport full cannot be obfuscated: it goes with --no-obfuscation")
	}
	if text := c.String("proxy"); text != "" {
		if cfg.Proxy, err = proxy.Parse(text); err != nil {
			return usagef("--proxy: %w", err)
		}
		if cfg.Proxy.Kind == proxy.MTProxy && cfg.Plain {
			return usagef("--no-obfuscation does not go with an MTProxy")
		}
	}
	cfg.Dial, _ = c.App.Metadata[dialKey].(mtproto.DialFunc)
	cfg.Backup = backup(cfg)
	return nil
}

// datacenters are those of the flags: a file's, the test ones, or Telegram's.
func datacenters(c *cli.Context) (*telegram.Datacenters, error) {
	path := c.String("datacenters")
	switch {
	case path != "" && c.Bool("test"):
		return nil, usagef("--test and --datacenters are two different places to connect to: leave one away")
	case path != "":
		d, err := telegram.LoadDatacenters(path)
		if err != nil {
			return nil, usagef("%w", err)
		}
		return d, nil
	case c.Bool("test"):
		return telegram.Test(), nil
	default:
		return telegram.Production(), nil
	}
}

// backup asks the DNS over HTTPS, by the same way as everything else: through
// the proxy if there is one. An MTProxy leads to Telegram only, and needs no addresses.
func backup(cfg *telegram.Config) telegram.BackupFunc {
	p, dial := cfg.Proxy, cfg.Dial
	if p != nil && p.Kind == proxy.MTProxy {
		return nil
	}
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	through := dial
	if p != nil {
		through = func(ctx context.Context, _, address string) (net.Conn, error) { return p.Dial(ctx, dial, address) }
	}
	client := &http.Client{
		Timeout:   10 * time.Second,
		Transport: &http.Transport{DialContext: through, DisableKeepAlives: true, ForceAttemptHTTP2: true},
	}
	return telegram.BackupOverHTTPS(client, telegram.BackupResolvers()...)
}
