package main

import (
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/tghaul/haul/bench/internal/rig"
	"github.com/tghaul/haul/telegram/dctest"
)

const (
	killSize = 32 << 20
	// killRate is chosen so that a transfer takes about a second if it is not
	// killed, and several kills meet each.
	killRate = 32 << 20
	killRTT  = 10 * time.Millisecond
	// killSpan is the time within which a run is killed: from before it has
	// read its store to about when it would have ended.
	killSpan = 900 * time.Millisecond
	// killFiles bounds the channel that downloads come from.
	killFiles = 4096
)

// A killer kills clients with kill -9 and resumes what they did.
type killer struct {
	rig     *rig.Rig
	cluster *rig.Cluster
	client  *rig.Client
	random  *rand.Rand
	left    int     // kills to go
	wasted  []int64 // bytes moved twice because of each kill
	met     int     // kills that the present file has met
	calm    int64   // bytes moved twice of files that met none
	wrong   int     // files whose bytes are not what they should be, or uploads not sent exactly once
	files   int
	late    int // runs that ended before they were killed
}

// kill ends clients with kill -9 at random moments, downloads and uploads in
// turn, and resumes each until it is done. No byte may be wrong, each upload
// must be one message, and what is moved twice is counted.
func kill(f *flag.FlagSet) func(*rig.Rig, *rig.Report) error {
	runs := f.Int("runs", 200, "how many times to kill")
	seed := f.Uint64("seed", uint64(time.Now().UnixNano()), "chooses the moments")
	return func(r *rig.Rig, report *rig.Report) error {
		fmt.Fprintln(os.Stderr, "kill: seed", *seed)
		scenario := manyFiles(killFiles, killSize, killSize)
		scenario.Seed, scenario.RTT, scenario.DCBandwidth = *seed, dctest.Duration(killRTT), killRate
		cluster, err := r.Start(scenario)
		if err != nil {
			return err
		}
		client, err := cluster.Login()
		if err != nil {
			return err
		}
		k := &killer{rig: r, cluster: cluster, client: client, random: rand.New(rand.NewPCG(*seed, 0)), left: *runs}
		for n := 1; k.left > 0 && n <= killFiles; n++ {
			if err := k.download(n); err != nil {
				return fmt.Errorf("seed %d: download %d: %w", *seed, n, err)
			}
			if k.left <= 0 {
				break
			}
			if err := k.upload(n); err != nil {
				return fmt.Errorf("seed %d: upload %d: %w", *seed, n, err)
			}
		}
		k.report(report, *runs)
		return nil
	}
}

func (k *killer) report(report *rig.Report, runs int) {
	slices.Sort(k.wasted)
	report.Must("kills", float64(len(k.wasted)), float64(runs))
	report.Must("wrong_files", float64(k.wrong), 0)
	report.Value("files", float64(k.files), "")
	report.Value("ended_before_kill", float64(k.late), "")
	const mib = 1 << 20
	report.Value("repeated_without_kill", float64(k.calm)/mib, "MiB")
	report.AtMost("repeated_p50", float64(k.wasted[len(k.wasted)/2])/mib, 8, "MiB")
	report.AtMost("repeated_max", float64(k.wasted[len(k.wasted)-1])/mib, 32, "MiB")
}

// download fetches message n, with kills, and checks the file.
func (k *killer) download(n int) error {
	dir := k.rig.Path("out")
	moved := func(s *dctest.Stats) int64 { return sumBytes(s.Files) }
	if err := k.finish(moved, "dl", fmt.Sprintf("https://t.me/bench/%d", n), "-d", dir); err != nil {
		return err
	}
	k.files++
	sum, path, err := onlyFile(dir)
	if err != nil {
		return err
	}
	stats, err := k.cluster.Stats()
	if err != nil {
		return err
	}
	known := slices.ContainsFunc(values(stats.Files), func(f dctest.FileStats) bool { return f.SHA256 == sum })
	if !known {
		k.wrong++
		fmt.Fprintf(os.Stderr, "kill: message %d: %s has SHA-256 %s, which no file of the cluster has\n", n, path, sum)
	}
	return os.RemoveAll(dir)
}

// upload sends a new file, with kills, and checks the message.
func (k *killer) upload(n int) error {
	name := fmt.Sprintf("source-%d", n)
	path := k.rig.Path(name)
	if err := rig.Noise(path, killSize, k.random.Uint64()); err != nil {
		return err
	}
	sum, err := rig.SHA256(path)
	if err != nil {
		return err
	}
	moved := func(s *dctest.Stats) int64 { return sumBytes(s.Uploads) }
	if err := k.finish(moved, "up", path, "--to", "@bench"); err != nil {
		return err
	}
	k.files++
	stats, err := k.cluster.Stats()
	if err != nil {
		return err
	}
	var sent []dctest.SentFile
	for _, s := range stats.Sent {
		if s.Name == name {
			sent = append(sent, s)
		}
	}
	if len(sent) != 1 || sent[0].SHA256 != sum {
		k.wrong++
		fmt.Fprintf(os.Stderr, "kill: %s with SHA-256 %s became %+v\n", name, sum, sent)
	}
	return os.Remove(path)
}

// finish runs a command again and again, killed each time while kills are
// left, until it is done, and accounts for what each kill has cost: the bytes
// that the cluster moved in the run, less what the next one found to be done.
func (k *killer) finish(moved func(*dctest.Stats) int64, args ...string) error {
	before, err := k.movedSoFar(moved)
	if err != nil {
		return err
	}
	k.met = 0
	var spent, had int64 // moved since the last run that told what it had; what that was
	open := 0            // kills since then
	for {
		res, killed, err := k.once(args...)
		if err != nil {
			return err
		}
		if len(res.Started) > 0 {
			found := res.Started[0].ResumedBytes
			k.account(open, spent-(found-had))
			spent, had, open = 0, found, 0
		}
		now, err := k.movedSoFar(moved)
		if err != nil {
			return err
		}
		spent += now - before
		before = now
		if killed {
			open++
		}
		switch {
		case killed && len(res.Done) == 0:
			continue
		case killed: // after it had said that the file is done: nothing is left to resume
		case res.Exit != 0 || res.Run == nil || res.Run.FilesDone+res.Run.FilesSkipped != 1:
			return res.Failure(args[0])
		}
		k.account(open, spent-(killSize-had))
		return nil
	}
}

// account notes what kills have cost. Of several kills the last one pays:
// those before it ended runs that had not begun to move anything.
func (k *killer) account(kills int, wasted int64) {
	if kills == 0 && wasted > 0 {
		if k.met == 0 {
			k.calm += wasted
			return
		}
		k.wasted[len(k.wasted)-1] += wasted // the cluster was still taking in what the dead had sent
	}
	k.met += kills
	for i := range kills {
		if i < kills-1 {
			k.wasted = append(k.wasted, 0)
		} else {
			k.wasted = append(k.wasted, max(wasted, 0))
		}
	}
}

// once runs a command and kills it, if kills are left, unless it ends before.
func (k *killer) once(args ...string) (res *rig.Result, killed bool, err error) {
	p, err := k.client.Go(args...)
	if err != nil {
		return nil, false, err
	}
	if k.left > 0 {
		timer := time.AfterFunc(time.Duration(k.random.Int64N(int64(killSpan))), p.Kill)
		defer timer.Stop()
	}
	res, err = p.Wait()
	if err != nil {
		return nil, false, err
	}
	killed = res.Exit == -1
	switch {
	case killed:
		k.left--
	case k.left > 0:
		k.late++
	}
	return res, killed, nil
}

func (k *killer) movedSoFar(moved func(*dctest.Stats) int64) (int64, error) {
	s, err := k.cluster.Stats()
	if err != nil {
		return 0, err
	}
	return moved(s), nil
}

func sumBytes(files map[string]dctest.FileStats) (n int64) {
	for _, f := range files {
		n += f.Bytes
	}
	return n
}

func values(files map[string]dctest.FileStats) (list []dctest.FileStats) {
	for _, f := range files {
		list = append(list, f)
	}
	return list
}

// onlyFile is the SHA-256 and the path of the one file in a folder.
func onlyFile(dir string) (sum, path string, err error) {
	err = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || d.IsDir():
			return err
		case path != "":
			return fmt.Errorf("%s and %s are there, want one file", path, p)
		}
		path = p
		return nil
	})
	if err == nil && path == "" {
		err = fmt.Errorf("no file in %s", dir)
	}
	if err != nil {
		return "", "", err
	}
	sum, err = rig.SHA256(path)
	return sum, path, err
}
