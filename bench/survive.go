package main

import (
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/tghaul/haul/bench/internal/rig"
	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/mtproto/proxy"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/telegram/dctest/relay"
	"github.com/tghaul/haul/transfer"
)

const (
	surviveSize = 1 << 30
	// surviveRate makes each transfer last for half a minute or more, in which
	// everything has to take place; bytes a second.
	surviveRate = 32 << 20
	surviveRTT  = 20 * time.Millisecond
	// surviveKeys is how long temporary keys live. They are replaced after
	// three quarters of it.
	surviveKeys = 12 * time.Second
	// The proxy goes away for a while, some time after each transfer has begun,
	// and again after that.
	surviveAway  = 1500 * time.Millisecond
	surviveFirst = 5 * time.Second
	surviveAgain = 10 * time.Second
	surviveLimit = 10 * time.Minute
	guestDC      = 1 // has the file that is downloaded
	homeDC       = 2 // takes the one that is uploaded
)

// A survivor moves a file each way while its surroundings change.
type survivor struct {
	rig     *rig.Rig
	report  *rig.Report
	cluster *rig.Cluster
	client  *telegram.Client
	store   *checkpoint.Store
	peer    telegram.Peer
	relay   *restarting
	before  *dctest.Stats
}

// survive moves 1 GiB down and 1 GiB up through a SOCKS5 proxy while temporary
// keys are replaced, the DCs' addresses change, the proxy restarts, and the
// authorisation at the file's DC is revoked. No byte may be wrong, and each of
// these must have taken place under the transfer.
func survive(f *flag.FlagSet) func(*rig.Rig, *rig.Report) error {
	seed := f.Uint64("seed", 1, "of the files")
	return func(r *rig.Rig, report *rig.Report) (err error) {
		ctx, cancel := context.WithTimeout(context.Background(), surviveLimit)
		defer cancel()
		s := &survivor{rig: r, report: report}
		if s.cluster, err = r.Start(surroundings(*seed)); err != nil {
			return err
		}
		if s.relay, err = startRelay(); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.relay.stop()) }()
		if err := s.begin(ctx); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.client.Close(), s.store.Close()) }()
		if err := s.download(ctx); err != nil {
			return fmt.Errorf("download: %w", err)
		}
		if err := s.upload(ctx, *seed); err != nil {
			return fmt.Errorf("upload: %w", err)
		}
		return nil
	}
}

// surroundings are a cluster with one file away from home, and what happens to
// its clients, by the numbers of their requests.
func surroundings(seed uint64) dctest.Config {
	return dctest.Config{
		Seed: seed, RTT: dctest.Duration(surviveRTT), DCBandwidth: surviveRate,
		DCs: []dctest.DCConfig{{ID: guestDC}, {ID: homeDC}},
		Channels: []dctest.ChannelConfig{{
			Username: "bench", Title: "Bench",
			Files: []dctest.FileSpec{{Kind: "document", Count: 1, MinSize: surviveSize, DC: guestDC}},
		}},
		Faults: []dctest.Fault{
			{Kind: "guest_revoked", Method: "upload.getFile", DC: guestDC, At: []int64{300}},
			{Kind: "move", Method: "upload.getFile", DC: guestDC, At: []int64{600}},
			{Kind: "move", Method: "upload.saveBigFilePart", DC: homeDC, At: []int64{500, 1400}},
		},
	}
}

// begin signs a client in, through the proxy.
func (s *survivor) begin(ctx context.Context) error {
	dcs, err := telegram.LoadDatacenters(s.cluster.Datacenters())
	if err != nil {
		return err
	}
	s.client, err = rig.Dial(ctx, telegram.Config{
		Datacenters: dcs, PFS: true, TempKeyLifetime: surviveKeys,
		Proxy: &proxy.Proxy{Kind: proxy.SOCKS5, Address: s.relay.address},
	})
	if err != nil {
		return err
	}
	if s.peer, err = s.client.Resolve(ctx, "@bench"); err == nil {
		s.store, err = checkpoint.Open(s.rig.Path("survive-store"), checkpoint.Options{})
	}
	if err != nil {
		return errors.Join(err, s.client.Close())
	}
	return nil
}

// through runs one transfer while the proxy comes and goes, and reports what
// took place meanwhile at the DC that it is with.
func (s *survivor) through(what string, dc int, run func(*transfer.Engine) (*transfer.Report, error)) (*dctest.Stats, error) {
	var err error
	if s.before, err = s.cluster.Stats(); err != nil {
		return nil, err
	}
	done := make(chan struct{})
	var beside sync.WaitGroup
	restarts := 0
	var trouble error
	beside.Go(func() { restarts, trouble = s.relay.comeAndGo(done) })
	engine := transfer.New(s.client, transfer.Options{Checkpoint: s.store, Connections: 4})
	start := time.Now()
	report, err := run(engine)
	took := time.Since(start)
	close(done)
	beside.Wait()
	if err = errors.Join(err, trouble); err != nil {
		return nil, err
	}
	for _, f := range report.Failed {
		return nil, fmt.Errorf("%s: %w", f.Path, f.Err)
	}
	if len(report.Done) != 1 {
		return nil, fmt.Errorf("%d files done, want 1", len(report.Done))
	}
	after, err := s.cluster.Stats()
	if err != nil {
		return nil, err
	}
	r := s.report
	r.Value(what+"_time", took.Seconds(), "s")
	r.Value(what+"_moved_twice", float64(report.BytesResent)/(1<<20), "MiB")
	r.Value(what+"_reconnects", float64(report.Reconnects), "")
	id := strconv.Itoa(dc)
	r.MustAtLeast(what+"_temporary_keys", float64(after.DCs[id].Bindings-s.before.DCs[id].Bindings), 3)
	r.MustAtLeast(what+"_proxy_restarts", float64(restarts), 2)
	r.MustAtLeast(what+"_dc_moves", float64(after.Faults["move"]-s.before.Faults["move"]), 1)
	return after, nil
}

func (s *survivor) download(ctx context.Context) error {
	dir := s.rig.Path("survive-out")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // its files were synced
	after, err := s.through("download", guestDC, func(e *transfer.Engine) (*transfer.Report, error) {
		return e.Download(ctx, func(yield func(transfer.Download, error) bool) {
			for m, err := range s.client.Messages(ctx, s.peer, telegram.MessagesOptions{}) {
				for _, f := range m.Files {
					if !yield(transfer.Download{File: f, Dir: root}, err) {
						return
					}
				}
			}
		})
	})
	if err != nil {
		return err
	}
	const revoked = "guest_revoked"
	s.report.MustAtLeast("download_"+revoked, float64(after.Faults[revoked]-s.before.Faults[revoked]), 1)
	imports := func(st *dctest.Stats) int64 {
		return st.Methods["auth.importAuthorization"][strconv.Itoa(guestDC)].Answers
	}
	s.report.MustAtLeast("download_guest_authorised", float64(imports(after)-imports(s.before)), 2)
	sum, path, err := onlyFile(dir)
	if err != nil {
		return err
	}
	wrong := surviveSize
	for _, f := range after.Files {
		if f.SHA256 == sum && f.Size == surviveSize {
			wrong = 0
		}
	}
	s.report.Must("download_wrong_bytes", float64(wrong), 0) // all count of a file whose SHA-256 is another
	return os.Remove(path)
}

func (s *survivor) upload(ctx context.Context, seed uint64) error {
	source := s.rig.Path("survive-source")
	if err := rig.Noise(source, surviveSize, seed); err != nil {
		return err
	}
	sum, err := rig.SHA256(source)
	if err != nil {
		return err
	}
	var sent string
	after, err := s.through("upload", homeDC, func(e *transfer.Engine) (*transfer.Report, error) {
		report, err := e.Upload(ctx, func(yield func(transfer.Upload, error) bool) {
			yield(transfer.Upload{Path: source, To: s.peer}, nil)
		})
		if len(report.Done) == 1 {
			sent = hex.EncodeToString(report.Done[0].SHA256[:])
		}
		return report, err
	})
	if err != nil {
		return err
	}
	s.report.Must("upload_messages", float64(len(after.Sent)), 1)
	wrong := surviveSize
	if len(after.Sent) == 1 && after.Sent[0].SHA256 == sum && after.Sent[0].Size == surviveSize && sent == sum {
		wrong = 0
	}
	s.report.Must("upload_wrong_bytes", float64(wrong), 0)
	return os.Remove(source)
}

// A restarting relay is a SOCKS5 proxy that comes back at the same address.
type restarting struct {
	address string
	now     *relay.Relay // nil while it is away
}

func startRelay() (*restarting, error) {
	r := new(restarting)
	return r, r.start("127.0.0.1:0")
}

func (r *restarting) start(address string) error {
	now, err := relay.New(relay.Config{Kind: relay.SOCKS5})
	if err != nil {
		return err
	}
	if r.address, err = now.Listen(address); err != nil {
		return errors.Join(err, now.Close())
	}
	r.now = now
	return nil
}

func (r *restarting) stop() error {
	if r.now == nil {
		return nil
	}
	now := r.now
	r.now = nil
	return now.Close()
}

// comeAndGo restarts the relay twice, or until done, and says how often it did
// so with connections that it cut.
func (r *restarting) comeAndGo(done <-chan struct{}) (restarts int, err error) {
	for _, pause := range []time.Duration{surviveFirst, surviveAgain} {
		select {
		case <-done:
			return restarts, nil
		case <-time.After(pause):
		}
		if r.now.Stats().Relayed > 0 {
			restarts++
		}
		if err := r.stop(); err != nil {
			return restarts, err
		}
		time.Sleep(surviveAway)
		if err := r.start(r.address); err != nil {
			return restarts, err
		}
	}
	return restarts, nil
}
