package doctor

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/telegram"
)

// Keys tells of the auth keys of a session, and whether temporary ones are used.
func Keys(s *telegram.Session, pfs bool, now time.Time) []Finding {
	var list []Finding
	for _, dc := range slices.Sorted(maps.Keys(s.DCs)) {
		d := s.DCs[dc]
		age, who := "of unknown age", "nobody is signed in by it"
		if d.Authorized {
			who = "signed in"
		}
		f := ok("keys", "")
		if !d.Created.IsZero() {
			old := max(now.Sub(d.Created), 0)
			age = "made " + Ago(old) + " ago"
			f = f.with("age_seconds", int64(old.Seconds()))
		}
		f.Text = fmt.Sprintf("DC %d: %s; %s", dc, age, who)
		list = append(list, f.with("dc", dc).with("authorized", d.Authorized))
	}
	f := ok("pfs", "off: the keys above encrypt everything; --pfs puts temporary ones in their place")
	if pfs {
		f = ok("pfs", "on: temporary keys, replaced each day, encrypt everything but what CDNs send")
	}
	return append(list, f.with("on", pfs))
}

// Ago is a span in one unit: "3 hours"; "less than a minute".
func Ago(d time.Duration) string {
	for _, u := range []struct {
		name string
		size time.Duration
	}{{"day", 24 * time.Hour}, {"hour", time.Hour}, {"minute", time.Minute}} {
		switch n := int(d / u.size); {
		case n > 1:
			return fmt.Sprintf("%d %ss", n, u.name)
		case n == 1:
			return "1 " + u.name
		}
	}
	return "less than a minute"
}

// partsPerFile is how many parts of 512 KiB an upload may have; twice as many
// with Premium.
const partsPerFile = 4000

// Tier tells what the servers let an account do.
func Tier(u *telegram.User) Finding {
	parts, tier := partsPerFile, "not Premium: waits that Premium accounts are spared slow transfers down"
	switch {
	case u.Bot:
		tier = "a bot: it sees only chats that it is a member of"
	case u.Premium:
		parts, tier = 2*partsPerFile, "Premium"
	}
	return ok("tier", "%s; uploads of up to %d MiB", tier, parts/2).
		with("premium", u.Premium).with("bot", u.Bot).with("max_upload_mib", parts/2)
}

// Limits tells what was learned of the servers' limits, and which waits hold.
func Limits(learned []checkpoint.Limit, held []checkpoint.Wait, calls []telegram.FloodWait, now time.Time) (list []Finding) {
	for _, w := range held {
		list = append(list, waiting(w.Method, w.DC, w.Until, now))
	}
	for _, w := range calls {
		if w.Until.After(now) {
			list = append(list, waiting(w.Method, w.DC, w.Until, now))
		}
	}
	slices.SortFunc(learned, func(a, b checkpoint.Limit) int { return a.DC - b.DC })
	for _, l := range learned {
		what := "no rate found yet"
		if l.Rate > 0 {
			what = fmt.Sprintf("%.3g a second", l.Rate)
		}
		if l.InFlight > 0 {
			what += fmt.Sprintf(", %d at a time", l.InFlight)
		}
		if l.Premium {
			what += ", a limit that Premium accounts do not have"
		}
		list = append(list, ok("limits", "%s at DC %d: %s, learned %s ago", l.Method, l.DC, what, Ago(now.Sub(l.At))).
			with("method", l.Method).with("dc", l.DC).with("per_second", l.Rate).with("in_flight", l.InFlight).with("premium", l.Premium))
	}
	if len(learned) == 0 {
		list = append(list, ok("limits", "Telegram has not asked this account to slow down"))
	}
	return list
}

func waiting(method string, dc int, until, now time.Time) Finding {
	return note("waits", "nothing to do: haul waits it out", "Telegram asked to wait %v more with %s at DC %d",
		until.Sub(now).Round(time.Second), method, dc).with("method", method).with("dc", dc).with("until", until)
}
