package main

import (
	"context"
	crand "crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/cmd/haul/internal/sweep"
	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/transfer"
)

const (
	benchChannel = "bench"
	simPatience  = time.Minute // for a cluster to listen, on a busy machine
	simPoll      = 5 * time.Millisecond
	simEnd       = 10 * time.Second
)

// noise is bytes that do not compress, fast: nothing secret is made of them.
func noise() io.Reader {
	var seed [32]byte
	_, _ = crand.Read(seed[:]) // it never fails
	return rand.NewChaCha8(seed)
}

// simulated measures with a cluster of its own. That is a process of its own:
// what it uses must not be taken for haul's.
func (b *benchmark) simulated() (err error) {
	c := b.c
	if b.steps, _ = sweep.Share(b.plan.Steps(), b.budget, 0); len(b.steps) == 0 {
		return usagef("--size %s is too little for %d transfers", c.String("size"), len(b.plan.Steps()))
	}
	dir, err := os.MkdirTemp("", "haul-bench-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	down, up := sweep.Total(b.steps)
	say(c, "this moves %s from and %s to a simulated cluster on this machine", size(down), size(up))
	stop, err := startSim(c.Context, dir, benchScenario(b.steps, c.Duration("rtt")))
	if err != nil {
		return err
	}
	defer stop()
	client, err := b.simClient(dir)
	if err != nil {
		return err
	}
	defer client.Close() //nolint:errcheck // it keeps nothing
	store, err := checkpoint.Open(filepath.Join(dir, "checkpoint"), checkpoint.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	peer, err := client.Resolve(c.Context, "@"+benchChannel)
	if err != nil {
		return err
	}
	var files []telegram.File
	for m, err := range client.Messages(c.Context, peer, telegram.MessagesOptions{}) {
		if err != nil {
			return err
		}
		files = append(files, m.Files...)
	}
	if len(files) == 0 {
		return fmt.Errorf("the simulated cluster has no files in @%s", benchChannel)
	}
	return b.measure(c.Context, &sweep.Bench{
		Client: client, Options: transfer.Options{Checkpoint: store, NoHash: c.Bool("no-hash")}, To: peer, Dir: dir,
		File: func(i int) telegram.File { return files[i%len(files)] },
	})
}

// benchScenario has a file for each download.
func benchScenario(steps []sweep.Step, rtt time.Duration) dctest.Config {
	bytes := steps[0].Bytes
	return dctest.Config{RTT: dctest.Duration(rtt), Channels: []dctest.ChannelConfig{{
		Username: benchChannel, Title: "Bench",
		Files: []dctest.FileSpec{{Kind: "document", Count: len(steps), MinSize: bytes, MaxSize: bytes}},
	}}}
}

func simFile(dir string) string { return filepath.Join(dir, "dc.json") }

// simClient signs in at the cluster.
func (b *benchmark) simClient(dir string) (*telegram.Client, error) {
	list, err := telegram.LoadDatacenters(simFile(dir))
	if err != nil {
		return nil, err
	}
	cfg := telegram.Config{AppID: testAppID, AppHash: testAppHash, AppVersion: version, Datacenters: list}
	cfg.Dial, _ = b.c.App.Metadata[dialKey].(mtproto.DialFunc)
	client, err := telegram.Dial(b.c.Context, cfg)
	if err != nil {
		return nil, err
	}
	if _, err := client.LoginBot(b.c.Context, dctest.BotToken); err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return client, nil
}

// startSim runs haul sim and waits until it listens. stop ends it.
func startSim(ctx context.Context, dir string, scenario dctest.Config) (stop func(), err error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(scenario)
	if err != nil {
		return nil, err
	}
	// What the user has set for haul is not for this one.
	config, scenarioPath := filepath.Join(dir, "empty.toml"), filepath.Join(dir, "scenario.json")
	if err := errors.Join(os.WriteFile(config, nil, 0o600), os.WriteFile(scenarioPath, text, 0o600)); err != nil {
		return nil, err
	}
	cmd := exec.Command(program, "--quiet", "--config", config, "sim", "--scenario", scenarioPath, "--datacenters-out", simFile(dir), "--until-eof")
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "HAUL_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	var said strings.Builder
	cmd.Stderr = &said
	alive, err := cmd.StdinPipe() // closed when this process is gone, whatever ends it: then the cluster ends, too
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	exited := make(chan struct{})
	var waiting sync.WaitGroup
	waiting.Go(func() {
		_ = cmd.Wait() // the cluster was there to be used; how it ends does not matter
		close(exited)
	})
	stop = func() {
		_ = alive.Close()
		stopSim(cmd, exited)
		waiting.Wait()
	}
	ctx, cancel := context.WithTimeout(ctx, simPatience)
	defer cancel()
	for {
		if _, err := os.Stat(simFile(dir)); err == nil {
			return stop, nil
		}
		select {
		case <-exited:
			return nil, fmt.Errorf("the simulated cluster has ended: %s", said.String())
		case <-ctx.Done():
			stop()
			return nil, fmt.Errorf("the simulated cluster does not listen: %w", ctx.Err())
		case <-time.After(simPoll):
		}
	}
}

// stopSim waits for a cluster that was told to end, and kills it if it does not.
func stopSim(cmd *exec.Cmd, exited <-chan struct{}) {
	select {
	case <-exited:
	case <-time.After(simEnd):
		_ = cmd.Process.Kill() // it may have ended by itself
	}
}
