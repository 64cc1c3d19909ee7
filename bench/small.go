package main

import (
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/tghaul/haul/bench/internal/rig"
	"github.com/tghaul/haul/telegram/dctest"
)

// manyFiles is a scenario with many files in @bench.
func manyFiles(count int, least, most int64) dctest.Config {
	return dctest.Config{Channels: []dctest.ChannelConfig{{
		Username: "bench", Title: "Bench",
		Files: []dctest.FileSpec{{Kind: "document", Count: count, MinSize: least, MaxSize: most}},
	}}}
}

// small moves thousands of small files over a long line: once with nothing but
// the line as limit, once with a flood rule that permits fewer requests than
// the line could carry.
func small(f *flag.FlagSet) func(*rig.Rig, *rig.Report) error {
	count := f.Int("files", 10_000, "number of files, of 20 to 200 KiB")
	rate := f.Float64("rate", 100, "requests a second that the flood rule of the second run permits; 0: no second run")
	return func(r *rig.Rig, report *rig.Report) error {
		scenario := longLine(manyFiles(*count, 20<<10, 200<<10))
		res, _, err := archiveAll(r, scenario, *count)
		if err != nil {
			return err
		}
		report.AtLeast("share_of_bandwidth", float64(res.Run.Bytes)/res.Elapsed.Seconds()/lineDC, 0.9, "")
		report.Value("files_per_second", float64(*count)/res.Elapsed.Seconds(), "1/s")
		report.Value("rss", res.MaxRSS, "MiB")
		if *rate == 0 {
			return nil
		}
		return smallRate(r, report, *count, *rate)
	}
}

// smallRate is small with a flood rule.
func smallRate(r *rig.Rig, report *rig.Report, count int, rate float64) error {
	scenario := longLine(manyFiles(count, 20<<10, 200<<10))
	scenario.Flood = []dctest.FloodRule{{Method: "upload.getFile", Kind: "token_bucket", Rate: rate, Burst: int(rate)}}
	res, stats, err := archiveAll(r, scenario, count)
	if err != nil {
		return err
	}
	var answers int64
	for _, dc := range stats.Methods["upload.getFile"] {
		answers += dc.Answers
	}
	report.AtLeast("share_of_rate", float64(answers)/res.Elapsed.Seconds()/rate, 0.9, "")
	report.Must("requests_inside_wait", float64(stats.RequestsInsideWait), 0)
	report.Value("flood_waits", float64(res.Run.FloodWaits), "")
	report.Value("wait_seconds", res.Run.WaitSeconds, "s")
	return nil
}

// archiveAll archives @bench of a new cluster, with a new client, into a new
// folder, and makes sure that all files came.
func archiveAll(r *rig.Rig, scenario dctest.Config, count int) (res *rig.Result, stats *dctest.Stats, err error) {
	cluster, err := r.Start(scenario)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, cluster.Stop()) }()
	client, err := cluster.Login()
	if err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp(r.Path(), "out-*")
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	res, err = client.Run("archive", "@bench", "-d", dir, "-t", lineConns)
	if err != nil {
		return nil, nil, err
	}
	if res.Exit != 0 || res.Run == nil || res.Run.FilesDone != count {
		return nil, nil, fmt.Errorf("%w: not the %d files that it is about", res.Failure("archive"), count)
	}
	stats, err = cluster.Stats()
	return res, stats, err
}
