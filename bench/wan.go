package main

import (
	"flag"
	"fmt"
	"time"

	"github.com/tghaul/haul/bench/internal/rig"
	"github.com/tghaul/haul/telegram/dctest"
)

// A long line: what a client far from its DC sees.
const (
	lineRTT  = 80 * time.Millisecond
	lineConn = 4 << 20  // bytes a second of a connection
	lineDC   = 32 << 20 // bytes a second of a DC
	// lineConns is how many connections are allowed: more than the eight that
	// fill the line, so that the program has to find out.
	lineConns = "12"
)

// longLine puts the line in front of a scenario.
func longLine(s dctest.Config) dctest.Config {
	s.RTT, s.ConnBandwidth, s.DCBandwidth = dctest.Duration(lineRTT), lineConn, lineDC
	return s
}

// wan moves one large file over a long line. Start, sign-in at the DC and ramp
// are in the time.
func wan(f *flag.FlagSet) func(*rig.Rig, *rig.Report) error {
	mib := f.Int64("mib", 1024, "size of the file in MiB")
	return func(r *rig.Rig, report *rig.Report) error {
		size := *mib << 20
		cluster, err := r.Start(longLine(oneFile(size)))
		if err != nil {
			return err
		}
		client, err := cluster.Login()
		if err != nil {
			return err
		}
		res, err := client.Run("dl", "https://t.me/bench/1", "-d", r.Path("out"), "-t", lineConns)
		if err != nil {
			return err
		}
		if res.Exit != 0 || res.Run == nil || res.Run.Bytes != size {
			return fmt.Errorf("%w: not the %d bytes that it is about", res.Failure("download"), size)
		}
		stats, err := cluster.Stats()
		if err != nil {
			return err
		}
		report.AtLeast("share_of_bandwidth", float64(size)/res.Elapsed.Seconds()/lineDC, 0.9, "")
		report.Value("seconds", res.Elapsed.Seconds(), "s")
		report.Value("share_after_start", float64(size)/res.Run.Seconds/lineDC, "")
		report.Value("repeated_bytes", float64(res.Run.BytesResent), "B")
		report.Value("connections", float64(stats.DCs["2"].Connections), "")
		report.Value("rss", res.MaxRSS, "MiB")
		return nil
	}
}
