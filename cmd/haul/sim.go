package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/signal"
	"sync"

	"github.com/urfave/cli/v2"

	"github.com/tghaul/haul/mtproto/transport"
	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/telegram/dctest/relay"
)

func simCommand() *cli.Command {
	return &cli.Command{
		Name: "sim", Usage: "run the simulated cluster in the foreground", OnUsageError: usageError,
		Description: "It writes the datacenters file once it listens, and the stats when it ends or gets SIGUSR1. It\n" +
			"knows the bot token 1:sim and the channel @bigchannel. docs/formats.md describes scenarios.\n\n" +
			"Example:\n   haul sim --datacenters-out dc.json --stats-out stats.json",
		Flags: []cli.Flag{
			stringFlag("datacenters-out", "", "write the datacenters file here: `FILE`"),
			stringFlag("scenario", "", "read the scenario from this `FILE`"),
			stringFlag("stats-out", "", "write the stats here: `FILE`"),
			stringFlag("listen", "127.0.0.1:0", "`ADDRESS` to listen on; each data center takes a port of its own"),
			stringFlag("mtproxy", "", "also run an MTProxy with this `SECRET` (16 bytes in hex, dd…, ee… with a domain), and print its link"),
			boolFlag("until-eof", "end when standard input ends, as it does when the program that started this one is gone"),
			stringFlag("state", "", "keep keys and uploads in this `DIR` over a restart"),
		},
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			if err := applyCommandConfig(c); err != nil {
				return err
			}
			return simulate(c)
		},
	}
}

func simulate(c *cli.Context) error {
	if c.String("datacenters-out") == "" {
		return usagef("--datacenters-out is needed: without it nobody finds the cluster")
	}
	cfg, err := scenario(c.String("scenario"))
	if err != nil {
		return err
	}
	log, closeLog, err := logger(c)
	if err != nil {
		return err
	}
	defer closeLog()
	cfg.Listen, cfg.StateDir, cfg.Log = c.String("listen"), c.String("state"), log
	cluster, err := dctest.Start(context.WithoutCancel(c.Context), cfg)
	if err != nil {
		return err
	}
	defer cluster.Close() //nolint:errcheck // the second call, if all goes well
	if err := cluster.Datacenters().WriteFile(c.String("datacenters-out")); err != nil {
		return err
	}
	if !c.Bool("quiet") {
		_, _ = fmt.Fprintf(c.App.ErrWriter, "the cluster listens; its datacenters file is %s\n", c.String("datacenters-out"))
	}
	if c.String("mtproxy") != "" {
		closeProxy, err := simulateProxy(c, cluster, log)
		if err != nil {
			return err
		}
		defer closeProxy()
	}
	report := make(chan os.Signal, 1) // one that is under way serves a second one too
	if sig := statsSignal(); sig != nil {
		signal.Notify(report, sig)
		defer signal.Stop(report)
	}
	gone := make(chan struct{})
	if c.Bool("until-eof") {
		// Nothing interrupts the reading of standard input: the goroutine may be
		// left behind, at the end of the process.
		var reading sync.WaitGroup
		reading.Go(func() {
			_, _ = io.Copy(io.Discard, c.App.Reader) // an error is an end, too
			close(gone)
		})
	}
	for {
		select {
		case <-gone:
			return errors.Join(writeStats(cluster, c.String("stats-out")), cluster.Close())
		case <-report:
			if err := writeStats(cluster, c.String("stats-out")); err != nil {
				return err
			}
		case <-c.Done():
			return errors.Join(writeStats(cluster, c.String("stats-out")), cluster.Close())
		}
	}
}

// simulateProxy runs an MTProxy in front of the cluster, until it is closed.
func simulateProxy(c *cli.Context, cluster *dctest.Cluster, log *slog.Logger) (closeProxy func(), err error) {
	secret, err := transport.ParseSecret(c.String("mtproxy"))
	if err != nil {
		return nil, usagef("--mtproxy: %w", err)
	}
	r, err := relay.New(relay.Config{Kind: relay.MTProxy, Secret: secret, Route: cluster.Route, Dial: cluster.Dial, Log: log})
	if err != nil {
		return nil, err
	}
	address, err := r.Listen(c.String("listen"))
	if err == nil {
		host, port, _ := net.SplitHostPort(address) // a listener's address has both
		_, err = fmt.Fprintf(c.App.Writer, "tg://proxy?server=%s&port=%s&secret=%x\n", url.QueryEscape(host), port, secret.Bytes())
	}
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return func() { _ = r.Close() }, nil
}

func scenario(path string) (dctest.Config, error) {
	if path == "" {
		return dctest.Config{}, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return dctest.Config{}, err
	}
	defer f.Close() //nolint:errcheck // only read
	cfg, err := dctest.LoadScenario(f)
	if err != nil {
		return cfg, usagef("%s: %w", path, err)
	}
	return cfg, nil
}

// writeStats replaces the stats file, so that a reader never sees half of one.
func writeStats(cluster *dctest.Cluster, path string) error {
	if path == "" {
		return nil
	}
	f, err := os.OpenFile(path+".tmp", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if err := errors.Join(cluster.WriteStats(f), f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}
