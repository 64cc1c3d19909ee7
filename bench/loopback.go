package main

import (
	"fmt"
	"os"

	"github.com/tghaul/haul/bench/internal/rig"
	"github.com/tghaul/haul/telegram/dctest"
)

const (
	loopbackDown = 1 << 30
	loopbackUp   = 512 << 20
	loopbackRuns = 3
)

// oneFile is a scenario with one file in @bench.
func oneFile(size int64) dctest.Config {
	return dctest.Config{Channels: []dctest.ChannelConfig{{
		Username: "bench", Title: "Bench",
		Files: []dctest.FileSpec{{Kind: "document", Count: 1, MinSize: size, MaxSize: size}},
	}}}
}

// loopback measures what a transfer costs haul when nothing else limits it:
// one large file down and one up, a few times.
func loopback(r *rig.Rig, report *rig.Report) error {
	cluster, err := r.Start(oneFile(loopbackDown))
	if err != nil {
		return err
	}
	source := r.Path("source")
	if err := rig.Noise(source, loopbackUp, 1); err != nil {
		return err
	}
	client, err := cluster.Login()
	if err != nil {
		return err
	}
	for range loopbackRuns {
		out := r.Path("out")
		if err := r.Occupy(2 * loopbackDown >> 20); err != nil {
			return err
		}
		if err := cost(client, report, "download", loopbackDown, "dl", "https://t.me/bench/1", "-d", out); err != nil {
			return err
		}
		// Without the file it is fetched again, whatever the store says.
		if err := os.RemoveAll(out); err != nil {
			return err
		}
		if err := cost(client, report, "upload", loopbackUp, "up", source, "--to", "@bench"); err != nil {
			return err
		}
	}
	return nil
}

// cost runs one transfer and adds what it took.
func cost(client *rig.Client, report *rig.Report, what string, bytes int64, args ...string) error {
	res, err := client.Run(args...)
	if err != nil {
		return err
	}
	if res.Exit != 0 || res.Run == nil || res.Run.Bytes != bytes {
		return fmt.Errorf("%w: not the %d bytes that it is about", res.Failure(what), bytes)
	}
	mib := float64(bytes) / (1 << 20)
	report.Value(what, mib/res.Elapsed.Seconds(), "MiB/s")
	report.Value(what+"_cpu", res.CPU.Seconds()/mib*1024, "s/GiB")
	report.Value(what+"_rss", res.MaxRSS, "MiB")
	return nil
}
