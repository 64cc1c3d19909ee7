package crypto

import (
	"runtime"
	"time"
)

// smallPacket is the length in bytes up to which a packet goes by itself: it
// takes less time than what it might have to wait for.
const smallPacket = 16 << 10

// A Sealer encrypts and decrypts the packets of all sessions that share it, and
// hashes files meanwhile.
type Sealer struct {
	self, peer Side
	opens      gatherer[Packet]
	seals      gatherer[Sealing]
	streams    streams
}

// NewSealer returns a Sealer for any number of sessions of one side. patience is how
// long a packet may wait for others where others are about to come: Patience, or 0.
func NewSealer(self Side, patience time.Duration) *Sealer {
	places := runtime.GOMAXPROCS(0)
	s := &Sealer{self: self, peer: FromClient + FromServer - self}
	if AtOnce() > 1 {
		places = max(1, places/2)
		s.opens.patience, s.seals.patience = patience, patience
	}
	s.opens.free, s.opens.do = places, func(batch []Packet) {
		openAll(batch, s.peer, &s.streams)
	}
	s.seals.free, s.seals.do = places, func(batch []Sealing) {
		sealAll(batch, s.self, &s.streams)
	}
	return s
}

// An Opener opens packets one after the other. It is for one goroutine.
type Opener struct {
	s *Sealer
	r *request[Packet]
}

// Opener returns one for packets of the other side.
func (s *Sealer) Opener() *Opener { return &Opener{s, newRequest[Packet]()} }

// Open is AuthKey.Open, which it waits for with the packets of others.
func (o *Opener) Open(key *AuthKey, packet []byte) (plaintext []byte, err error) {
	if len(packet) <= smallPacket {
		return key.Open(packet, o.s.peer)
	}
	p := o.s.opens.run(o.r, Packet{Key: key, Bytes: packet})
	return p.Plaintext, p.Err
}

// An Encloser seals packets one after the other. It is for one goroutine.
type Encloser struct {
	s *Sealer
	r *request[Sealing]
}

// Encloser returns one for packets of the Sealer's own side.
func (s *Sealer) Encloser() *Encloser { return &Encloser{s, newRequest[Sealing]()} }

// Seal is AuthKey.Seal, which it waits for with the packets of others.
func (e *Encloser) Seal(sealing Sealing) (packet []byte, quickAck uint32, err error) {
	if sealing.N <= smallPacket {
		return sealing.Key.Seal(sealing.Buf, sealing.N, e.s.self, sealing.Padding, sealing.Rand)
	}
	sealing = e.s.seals.run(e.r, sealing)
	return sealing.Packet, sealing.QuickAck, sealing.Err
}

// SealAll is SealAll of this package for packets of the Sealer's own side, MaxAtOnce
// at most, which wait for those of others together.
func (e *Encloser) SealAll(sealings []Sealing) {
	for i := range sealings {
		if s := &sealings[i]; s.N <= smallPacket {
			SealAll(sealings, e.s.self) // what is small is not worth sorting out
			return
		}
	}
	e.s.seals.runAll(e.r, sealings)
}

// busy reports whether large packets pass through now.
func (s *Sealer) busy() bool { return s.opens.busy() || s.seals.busy() }
