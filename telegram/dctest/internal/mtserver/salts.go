package mtserver

import (
	"crypto/rand"
	"encoding/binary"
	"time"
)

// defaultSaltLifetime is how long a salt is the newest one on real servers.
const defaultSaltLifetime = 30 * time.Minute

// maxFutureSalts is how many salts get_future_salts may ask for.
const maxFutureSalts = 64

// A salt is accepted from since (inclusive) to until (exclusive).
type salt struct {
	Value int64     `json:"value"`
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
}

// salts are the server salts of one auth key, oldest first. A salt is the
// newest for one lifetime and stays valid for as long again, so two of them
// are valid at most times. See core.telegram.org/mtproto/service_messages,
// "Request for several future salts".
//
// Invariant: Since grows by one lifetime from each salt to the next.
type salts []salt

// newSalts begins a schedule with the given salt, valid from now on.
func newSalts(first int64, now time.Time, lifetime time.Duration) salts {
	return salts{{Value: first, Since: now, Until: now.Add(2 * lifetime)}}
}

// advance drops what has expired and makes salts up to the one valid at now
// and ahead more.
func (s *salts) advance(now time.Time, lifetime time.Duration, ahead int) {
	list := *s
	for len(list) > 1 && !now.Before(list[0].Until) {
		list = list[1:]
	}
	if len(list) == 1 && !now.Before(list[0].Until) {
		list = newSalts(randomSalt(), now, lifetime) // idle for long: begin anew
	}
	future := 0
	for i := range list {
		if list[i].Since.After(now) {
			future++
		}
	}
	for {
		last := list[len(list)-1]
		next := last.Since.Add(lifetime)
		if next.After(now) {
			if future >= ahead {
				break
			}
			future++
		}
		list = append(list, salt{Value: randomSalt(), Since: next, Until: next.Add(2 * lifetime)})
	}
	*s = list
}

// valid reports whether v is accepted now.
func (s salts) valid(v int64, now time.Time) bool {
	for _, x := range s {
		if x.Value == v && !now.Before(x.Since) && now.Before(x.Until) {
			return true
		}
	}
	return false
}

// current is the newest salt that is valid now. The list must be advanced.
func (s salts) current(now time.Time) int64 {
	v := s[0].Value
	for _, x := range s {
		if !now.Before(x.Since) {
			v = x.Value
		}
	}
	return v
}

// window returns n salts, from the newest valid one on. The list must be
// advanced by n.
func (s salts) window(now time.Time, n int) salts {
	from := 0
	for i, x := range s {
		if !now.Before(x.Since) {
			from = i
		}
	}
	return s[from:min(from+n, len(s))]
}

// randomSalt is a nonzero random salt.
func randomSalt() int64 {
	for {
		if v := randomInt64(); v != 0 {
			return v
		}
	}
}

// randomInt64 takes 64 bits from the operating system, which cannot fail.
func randomInt64() int64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never returns an error
	return int64(binary.LittleEndian.Uint64(b[:]))
}
