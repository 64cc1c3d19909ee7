package doctor

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tghaul/haul/mtproto/proxy"
	"github.com/tghaul/haul/telegram"
)

// Bounds of a clock: below the first it is right, above the second wrong.
const (
	clockRight = 5 * time.Second
	clockWrong = time.Minute
)

// Clock judges the local clock by the answer that came soonest.
func Clock(reached []telegram.Reach) Finding {
	const check = "clock"
	answers := slices.DeleteFunc(slices.Clone(reached), func(r telegram.Reach) bool { return r.Err != nil })
	if len(answers) == 0 {
		return Skip(check, "no server has answered that could tell the time")
	}
	best := slices.MinFunc(answers, func(a, b telegram.Reach) int { return cmp.Compare(a.RTT, b.RTT) })
	way, off := "behind", best.Offset
	if off < 0 {
		way, off = "ahead", -off
	}
	var f Finding
	switch {
	case off < clockRight:
		f = ok(check, "right, to %v", round(best.RTT))
	case off < clockWrong:
		f = note(check, "", "%v %s the server's", off.Round(time.Second), way)
	default:
		f = wrong(check, "set the clock of this machine: timedatectl set-ntp true, or what your system has for that. haul goes by the server's meanwhile",
			"%v %s the server's", off.Round(time.Second), way)
	}
	return f.with("offset_seconds", best.Offset.Seconds())
}

// Proxy judges the proxy by what came of all that went through it. p is nil if
// there is none.
func Proxy(p *proxy.Proxy, reached []telegram.Reach, hint func(error) string) Finding {
	const check = "proxy"
	if p == nil {
		return ok(check, "none")
	}
	var trouble error
	for _, r := range reached {
		var e *proxy.Error
		switch {
		case r.Err == nil:
			return ok(check, "%s leads to Telegram", p)
		case errors.As(r.Err, &e):
			trouble = e
		case trouble == nil:
			trouble = r.Err
		}
	}
	if trouble == nil {
		return Skip(check, "nothing was asked through it")
	}
	return wrong(check, hint(trouble), "%v", trouble)
}

// DCs has a finding for each endpoint and transport that was asked, and one for
// each DC at none of whose endpoints anybody answers, or one for all of them. An endpoint that fails
// beside others that do not is worth a word only.
func DCs(home int, reached []telegram.Reach, hint func(error) string) []Finding {
	const check = "dc"
	var list []Finding
	answered, failed := make(map[int]bool), make(map[int]error)
	for _, r := range reached {
		list = append(list, endpoint(home, r))
		if r.Err == nil {
			answered[r.DC] = true
		} else if failed[r.DC] == nil {
			failed[r.DC] = r.Err
		}
	}
	if len(answered) == 0 && len(failed) > 0 {
		return append(list, wrong(check, hint(failed[home]), "no data center answers"))
	}
	for _, dc := range slices.Sorted(maps.Keys(failed)) {
		if !answered[dc] {
			list = append(list, wrong(check, hint(failed[dc]), "nobody answers at DC %d%s", dc, homeText(home, dc)).with("dc", dc))
		}
	}
	return list
}

func homeText(home, dc int) string {
	if dc == home {
		return ", the home DC"
	}
	return ""
}

func endpoint(home int, r telegram.Reach) Finding {
	const check = "dc"
	kind := homeText(home, r.DC)
	switch {
	case r.CDN:
		kind = ", a CDN"
	case r.MediaOnly:
		kind = ", for media"
	}
	way := r.Framing.String()
	if r.Plain {
		way += ", not obfuscated"
	}
	what := fmt.Sprintf("DC %d%s, %s, %s", r.DC, kind, r.Address, way)
	var f Finding
	switch {
	case r.Err != nil:
		f = note(check, "", "%s: %v", what, r.Err)
	case !r.Known && !r.CDN: // CDN DCs have keys of their own
		f = wrong(check, "somebody else answers in place of it, or the datacenters file is of another cluster",
			"%s: who answers has none of the keys that the DC is known by", what)
	default:
		f = ok(check, "%s: %v", what, round(r.RTT)).with("rtt_ms", ms(r.RTT)).with("connect_ms", ms(r.Connect))
	}
	f = f.with("dc", r.DC).with("address", r.Address).with("transport", r.Framing.String()).with("obfuscated", !r.Plain)
	return f.with("media_only", r.MediaOnly).with("cdn", r.CDN)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// round keeps about two digits.
func round(d time.Duration) time.Duration {
	if d < 10*time.Millisecond {
		return d.Round(100 * time.Microsecond)
	}
	return d.Round(time.Millisecond)
}
