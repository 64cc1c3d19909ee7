package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/cmd/haul/internal/vault"
	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/mtproto/proxy"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/transfer"
	"github.com/tghaul/haul/transfer/archive"
)

// Exit codes; README.md lists them. A run that leaves anything undone never ends with 0.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitSomeFailed  = 3
	exitLogin       = 4
	exitLongWait    = 5
	exitLocked      = 6
	exitInterrupted = 130
)

// A usageErr is a command line that makes no sense.
type usageErr struct {
	error
	command string // "" if it is not known
}

func (e *usageErr) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return &usageErr{error: fmt.Errorf(format, args...)} }

// someFailed ends a run of which some files failed, or other things; they were named before.
type someFailed struct {
	failed, total int
	things        string // what they are; "": files
	job           string
	hopeful       bool // trying again may help some
}

func (e *someFailed) hint() string {
	if !e.hopeful {
		return "trying again will not help these; what is done stays done"
	}
	return fmt.Sprintf("haul resume %s tries just these once more; what is done stays done", e.job)
}

func (e *someFailed) Error() string {
	return fmt.Sprintf("%d of %d %s failed", e.failed, e.total, cmp.Or(e.things, "files"))
}

// report tells a person what went wrong and what to do, and returns the exit code.
func report(w io.Writer, ctx context.Context, err error) int { //nolint:revive // the writer comes first, as in fmt.Fprint
	code, hint := explain(err)
	if err != nil && ctx.Err() != nil && errors.Is(err, context.Canceled) {
		_, _ = fmt.Fprintln(w, "haul: interrupted; run it again, it continues where it was")
		return exitInterrupted
	}
	if err != nil {
		_, _ = fmt.Fprintf(w, "haul: %s\n", text(err))
	}
	if hint != "" {
		_, _ = fmt.Fprintf(w, "haul: hint: %s\n", hint)
	}
	return code
}

// explain maps an error to its exit code and to what may be done about it.
func explain(err error) (code int, hint string) {
	var (
		usage  *usageErr
		some   *someFailed
		locked *checkpoint.LockedError
		space  *checkpoint.SpaceError
		wait   *transfer.WaitError
		jobs   *jobsFailed
		wrong  *notRight
		target *transfer.TargetError
		barred *telegram.AccountError
		busy   *archive.BusyError
	)
	kept := (*sourcesKept)(nil)
	switch {
	case err == nil:
		return exitDone, ""
	case errors.As(err, &jobs):
		return jobs.code(), "haul jobs lists them; haul resume tries them once more"
	case errors.As(err, &wrong):
		return exitSomeFailed, wrong.hint()
	case errors.Is(err, archive.ErrNone):
		return exitFailed, "name the folder that haul archive has made, or one above it"
	case errors.As(err, &usage):
		return exitUsage, fmt.Sprintf("haul help %s shows the flags and an example", cmp.Or(usage.command, "COMMAND"))
	case errors.As(err, new(cli.ExitCoder)): // of the library's own help
		return exitUsage, "haul help lists the commands"
	case errors.Is(err, telegram.ErrNotLink), errors.Is(err, telegram.ErrLinkKind):
		return exitUsage, "a chat is @name, a t.me link, a number such as -1001234567890, or me; docs/guide.md lists more ways"
	case errors.As(err, &some):
		return exitSomeFailed, some.hint()
	case errors.As(err, &kept):
		return exitSomeFailed, "their messages are sent; haul resume looks once more, and deletes what is proven then"
	case errors.As(err, &locked):
		return exitLocked, fmt.Sprintf("wait for process %d to end, or use another account with -n", locked.PID)
	case errors.As(err, &busy):
		return exitLocked, "wait for that run to end, or name another folder"
	case errors.As(err, &space):
		return exitFailed, "free some space on that disk, or put the store elsewhere with --store"
	case errors.As(err, &target):
		return exitFailed, "nothing was fetched; name another folder with -d, or see to it that you may write there"
	case errors.Is(err, checkpoint.ErrVersion):
		return exitFailed, "a newer haul has written that store: use that one, or another store with --store"
	case errors.As(err, &wait):
		return exitLongWait, "run it again later, it continues; a longer --max-wait waits it out"
	case errors.As(err, &barred) && errors.Is(err, telegram.ErrLoggedOut):
		return exitLogin, barred.Advice() + ". haul login signs in"
	case errors.As(err, &barred):
		return exitFailed, barred.Advice()
	case errors.Is(err, telegram.ErrNotLoggedIn), errors.Is(err, telegram.ErrLoggedOut), errors.Is(err, mtproto.ErrKeyUnknown):
		return exitLogin, "haul login signs in with a phone number; -T qr with a code to scan, -T bot --token TOKEN as a bot"
	case errors.Is(err, telegram.ErrBotToken):
		return exitFailed, "@BotFather knows the token of your bot"
	case errors.Is(err, errNobody):
		return exitUsage, ""
	case importHint(err) != "":
		return exitFailed, importHint(err)
	case loginHint(err) != "":
		return exitFailed, loginHint(err)
	case errors.Is(err, telegram.ErrUnreachable):
		return exitFailed, reachHint(err)
	case errors.Is(err, telegram.ErrPeerNotFound):
		return exitFailed, "check the name; private chats must be ones that the account is a member of"
	case errors.Is(err, telegram.ErrUserOnly):
		return exitFailed, "bots see only channels that they are members of"
	case errors.Is(err, errNoSession):
		return exitLogin, "haul login signs in, haul accounts import restores a backup"
	case vaultHint(err) != "":
		return exitFailed, vaultHint(err)
	case errors.Is(err, vault.ErrExposed), errors.Is(err, vault.ErrDamaged), errors.Is(err, vault.ErrPassphrase):
		return exitFailed, ""
	case errors.Is(err, mtproto.ErrFloodWait):
		return exitLongWait, "run it again later; asking sooner only makes the wait longer"
	default:
		return exitFailed, ""
	}
}

// reachHint is what to do about a Telegram, or a proxy, that does not answer.
func reachHint(err error) string {
	switch {
	case errors.Is(err, proxy.ErrAuth):
		return "check user and password in --proxy"
	case errors.Is(err, proxy.ErrNotReached):
		return "check that the proxy runs, and its address in --proxy"
	case errors.Is(err, proxy.ErrNotProxy):
		return "check the kind of the proxy in --proxy: socks5://, http:// or an MTProxy link"
	case errors.Is(err, proxy.ErrSecret):
		return "check the link of the proxy, and the clock of this machine"
	case errors.Is(err, proxy.ErrRefused), errors.Is(err, proxy.ErrSilent):
		return "the proxy itself is there: ask who runs it, or try another one"
	default:
		return "check the network; where Telegram is blocked, --proxy leads around it"
	}
}

// text says an error in words for people.
func text(err error) string {
	var rpc *mtproto.RPCError
	if errors.As(err, &rpc) {
		if wait, ok := rpc.Wait(); ok {
			return fmt.Sprintf("Telegram asked to wait %v (%s of %s)", wait.Round(time.Second), rpc.Type, rpc.Method)
		}
	}
	if barred := (*telegram.AccountError)(nil); errors.As(err, &barred) {
		return strings.TrimPrefix(barred.Error(), "telegram: ")
	}
	if target := (*transfer.TargetError)(nil); errors.As(err, &target) {
		return target.Error()
	}
	if busy := (*archive.BusyError)(nil); errors.As(err, &busy) {
		return busy.Error()
	}
	var path *fs.PathError
	if errors.As(err, &path) && errors.Is(err, fs.ErrPermission) {
		return fmt.Sprintf("no permission to %s %s", path.Op, path.Path)
	}
	return err.Error()
}
