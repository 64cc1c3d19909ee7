package mtproto

import (
	"math/rand/v2"
	"time"
)

// Limits of message ids against the server's time.
// See core.telegram.org/mtproto/description#message-identifier-msg-id.
const (
	maxFuture = 30 * time.Second
	maxPast   = 300 * time.Second
)

// A clock keeps the server's time as an offset of the local one, and makes
// message ids by it. Not safe for concurrent use. It is told now, which
// carries a monotonic reading: jumps of the wall clock do not move it.
type clock struct {
	base   time.Time // local time the offset counts from
	server time.Time // server time at base
	synced bool      // a message that passed every check has confirmed it
	last   int64     // id made last
}

func newClock(now time.Time, offset time.Duration) clock {
	return clock{base: now, server: now.Round(0).Add(offset)}
}

// at is the server's time at local time now.
func (c *clock) at(now time.Time) time.Time { return c.server.Add(now.Sub(c.base)) }

// offset is server time minus local wall time.
func (c *clock) offset(now time.Time) time.Duration { return c.at(now).Sub(now.Round(0)) }

// msgID makes the next id: unix time · 2^32, divisible by 4, growing.
func (c *clock) msgID(now time.Time) int64 {
	id := timeToID(c.at(now)) ^ int64(rand.Uint32N(1<<22)) // spreads ids; carries no secret
	c.last = max(id&^3, c.last+4)
	return c.last
}

// plausible says whether a message with this id can have been sent now. While
// the offset is unconfirmed, every id is.
func (c *clock) plausible(now time.Time, id int64) bool {
	if !c.synced {
		return true
	}
	age := c.at(now).Sub(idToTime(id))
	return age <= maxPast && age >= -maxFuture
}

// observe takes a valid server message as proof that the server's clock is
// at least as late as its id: messages arrive late, never early.
func (c *clock) observe(now time.Time, id int64) {
	if !c.synced {
		c.reset(now, id)
		return
	}
	if t := idToTime(id); t.After(c.at(now)) {
		c.base, c.server = now, t
	}
}

// reset believes a server message that says the offset is wrong.
func (c *clock) reset(now time.Time, id int64) {
	c.base, c.server, c.synced = now, idToTime(id), true
}

func timeToID(t time.Time) int64 {
	ns := t.UnixNano()
	return ns/1e9<<32 | ns%1e9<<32/1e9
}

func idToTime(id int64) time.Time {
	return time.Unix(id>>32, (id&(1<<32-1))*1e9>>32)
}
