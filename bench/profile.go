package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/tghaul/haul/bench/internal/profile"
	"github.com/tghaul/haul/bench/internal/rig"
)

// profiles measures what a client's CPU time goes into while it moves one large
// file each way over loopback.
func profiles(f *flag.FlagSet) func(*rig.Rig, *rig.Report) error {
	mib := f.Int64("mib", 1536, "size of the file in MiB")
	seconds := f.Int("seconds", 3, "how long to sample; the transfer must take longer")
	save := f.String("save", "", "keep the profiles in this folder")
	conns := f.String("t", "8", "connections")
	return func(r *rig.Rig, report *rig.Report) error {
		cluster, err := r.Start(oneFile(*mib << 20))
		if err != nil {
			return err
		}
		client, err := cluster.Login()
		if err != nil {
			return err
		}
		source := r.Path("source")
		if err := rig.Noise(source, *mib<<20, 1); err != nil {
			return err
		}
		if err := r.Occupy(2 * *mib); err != nil {
			return err
		}
		p := profiling{client: client, report: report, seconds: *seconds, save: *save}
		if err := p.of("download", "dl", "https://t.me/bench/1", "-d", r.Path("out"), "-t", *conns); err != nil {
			return err
		}
		if err := os.RemoveAll(r.Path("out")); err != nil {
			return err
		}
		return p.of("upload", "up", source, "--to", "@bench", "-t", *conns)
	}
}

// settled is how long a transfer runs before it is sampled.
const settled = 300 * time.Millisecond

type profiling struct {
	client  *rig.Client
	report  *rig.Report
	seconds int
	save    string
}

// of samples one transfer while it is under way, and lets it end.
func (p *profiling) of(what string, args ...string) error {
	address, err := freeAddress()
	if err != nil {
		return err
	}
	run, err := p.client.Go(append(args, "--metrics", address)...)
	if err != nil {
		return err
	}
	<-run.Started
	time.Sleep(settled)
	b, err := fetchProfile(address, p.seconds)
	res, ended := run.Wait()
	switch {
	case ended != nil:
		return ended
	case res.Exit != 0 || res.Run == nil:
		return res.Failure(what)
	case err != nil:
		return fmt.Errorf("%s: the profile was cut short: take a larger -mib: %w", what, err)
	}
	if p.save != "" {
		if err := os.WriteFile(fmt.Sprintf("%s/%s.pprof", p.save, what), b, 0o644); err != nil {
			return err
		}
	}
	s, err := profile.Read(b)
	if err != nil {
		return err
	}
	p.tell(what, s, res.CPU.Seconds()/float64(res.Run.Bytes)*(1<<30))
	return nil
}

// tell reports the shares, and what they are of the CPU seconds of a GiB.
func (p *profiling) tell(what string, s *profile.Summary, perGiB float64) {
	beyond := 1.0
	for _, k := range profile.Kinds() {
		p.report.Value(fmt.Sprintf("%s: %s", what, k), s.Shares[k]*perGiB, "s/GiB")
		if k == profile.Crypto || k == profile.FileHash || k == profile.IO {
			beyond -= s.Shares[k]
		}
	}
	p.report.Value(what+": all", perGiB, "s/GiB")
	p.report.AtMost(what+": beyond crypto, hash and system calls", beyond*100, 10, "%")
	most := slices.SortedFunc(maps.Keys(s.Rest), func(a, b string) int {
		if s.Rest[a] > s.Rest[b] {
			return -1
		}
		return 1
	})
	for _, name := range most[:min(8, len(most))] {
		_, _ = fmt.Fprintf(os.Stderr, "%s, the rest: %5.2f%% %s\n", what, s.Rest[name]*100, name)
	}
}

// freeAddress is one on which nobody listened a moment ago.
func freeAddress() (string, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func fetchProfile(address string, seconds int) (b []byte, err error) {
	resp, err := http.Get(fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", address, seconds))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the profile: %s", resp.Status)
	}
	return io.ReadAll(resp.Body)
}
