package mtproto

import (
	"context"
	"fmt"
	"time"

	"github.com/tghaul/haul/mtproto/transport"
)

// A Probed is what an endpoint has answered to the first step of a key
// exchange, which anybody may ask for. Nothing of it is proven: the answer is
// neither encrypted nor signed.
type Probed struct {
	Connect time.Duration // until the connection stood, with what a proxy or fake TLS needs
	RTT     time.Duration // of the question and its answer
	Offset  time.Duration // server time minus local time, to half a round trip
	Known   bool          // the server has one of the RSA keys
}

// Probe asks an endpoint whether a DC answers there. Of o, only what says how
// to reach it counts, and PublicKeys. It takes no longer than ctx allows.
func Probe(ctx context.Context, o Options, e Endpoint) (Probed, error) {
	o.setDefaults()
	s := &Session{opts: o, clock: newClock(time.Now(), o.Key.TimeOffset)}
	var p Probed
	start := time.Now()
	raw, err := s.dial(ctx, e)
	if err != nil {
		return p, err
	}
	p.Connect = time.Since(start)
	link, err := transport.Client(raw, transport.Options{
		Framing: o.Framing, Obfuscated: !o.Plain, DC: int16(e.WireDC()), Secret: s.secret(e),
	})
	if err != nil {
		_ = raw.Close()
		return p, err
	}
	defer link.Close() //nolint:errcheck // it has served its purpose
	defer context.AfterFunc(ctx, func() { _ = link.SetDeadline(time.Unix(1, 0)) })()
	x := &exchange{conn: link, cfg: ExchangeConfig{Keys: o.PublicKeys, Rand: o.Rand, Now: time.Now}}
	if _, err := o.Rand.Read(x.nonce[:]); err != nil {
		return p, err
	}
	start = time.Now()
	pq, err := x.requestPQ()
	if err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("no answer within %v", time.Since(start).Round(time.Second))
		}
		return p, err
	}
	p.RTT = time.Since(start)
	p.Offset = idToTime(x.answered).Sub(start.Add(p.RTT / 2).Round(0))
	p.Known = x.publicKey(pq.ServerPublicKeyFingerprints) != nil
	return p, nil
}
