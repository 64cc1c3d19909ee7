package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/telegram"
)

// maxTakeoutFile is the size of the largest files that an export asks for: no
// account can have larger ones. In bytes.
const maxTakeoutFile = 4000 << 20

// finishPatience is how long a run that was interrupted may take to tell
// Telegram that its takeout session is over.
const finishPatience = 1500 * time.Millisecond

// takeout begins a takeout session for some chats and their files, if the flags
// ask for one. If Telegram does not give it, that is said, and the run goes on
// without. finish is to be called with how the run has ended.
func (a *account) takeout(ctx context.Context, c *cli.Context, peers []telegram.Peer, maxSize int64) (finish func(error), err error) {
	if !c.Bool("takeout") {
		return func(error) {}, nil
	}
	if a.client.IsBot() {
		return nil, usagef("--takeout: bots have no takeout sessions; leave it out")
	}
	if maxSize <= 0 || maxSize > maxTakeoutFile {
		maxSize = maxTakeoutFile
	}
	a.lost.Store(nil)
	resumed, err := a.client.BeginTakeout(ctx, telegram.TakeoutOf(peers, maxSize))
	switch {
	case err == nil && resumed:
		notice(c, "the takeout session of an earlier run goes on")
	case err == nil:
		notice(c, "a takeout session has begun")
	case ctx.Err() != nil, errors.Is(err, telegram.ErrLoggedOut):
		return nil, err
	default:
		notice(c, "no takeout session: %s\nhaul: going on without it, which is slower", noTakeout(err, time.Now()))
	}
	return func(err error) { a.finishTakeout(ctx, c, err) }, nil
}

// noTakeout says why there is no takeout session, and what to do about it.
func noTakeout(err error, now time.Time) string {
	var delay *telegram.TakeoutDelayError
	if !errors.As(err, &delay) {
		return text(err)
	}
	at := now.Add(delay.Wait).Local()
	return fmt.Sprintf("Telegram wants to know first that it is you who asks. On your phone, open the chat \"Telegram\" and allow the\n"+
		"      export that it tells of; then interrupt this run (Ctrl-C) and start it again at once. Without that it may\n"+
		"      begin in %v, from %s on", delay.Wait.Round(time.Second), at.Format("2006-01-02 15:04 MST"))
}

// finishTakeout tells Telegram that the run is over: that all was read, only if
// nothing was left undone.
func (a *account) finishTakeout(ctx context.Context, c *cli.Context, err error) {
	if lost := a.lost.Load(); lost != nil {
		reason := (*lost).Error()
		if rpc := (*mtproto.RPCError)(nil); errors.As(*lost, &rpc) {
			reason = rpc.Type
		}
		notice(c, "Telegram has ended the takeout session before the run was over (%s): the rest was read without it", reason)
		return
	}
	told := context.WithoutCancel(ctx)
	if ctx.Err() != nil {
		bounded, cancel := context.WithTimeout(told, finishPatience)
		defer cancel()
		told = bounded
	}
	if err := a.client.FinishTakeout(told, err == nil); err != nil && !errors.Is(err, telegram.ErrLoggedOut) {
		notice(c, "the takeout session could not be finished (%s); the next run with --takeout goes on with it", text(err))
	}
}

// takeoutLost keeps why a takeout session has ended until the run has, since
// bars may be on the screen. The log has it at once.
func (a *account) takeoutLost(err error) { a.lost.Store(&err) }

// notice tells a person something beside the output proper.
func notice(c *cli.Context, format string, args ...any) {
	if !c.Bool("quiet") {
		_, _ = fmt.Fprintf(c.App.ErrWriter, "haul: "+format+"\n", args...)
	}
}
