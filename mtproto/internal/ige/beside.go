package ige

import "encoding/binary"

// MaxBeside is how many messages a stream goes beside at the same time at most.
const MaxBeside = 2

// A Stream is a SHA-256 under way, of which some is done beside messages: where
// two of them leave half of a CPU idle, it costs next to nothing. It is for one
// goroutine at a time.
type Stream struct {
	// Data is what comes next. What was hashed of it is cut off, always a multiple of 64 bytes.
	Data []byte
	sum  [8]uint32 // in a lane's order
}

// Besides reports whether OpenBeside and EncryptBeside take anything from streams.
func Besides() bool { return best.besides() }

// SetState sets the eight words that are between two blocks, FIPS 180-4, 6.2.2,
// each with its most significant byte first.
func (s *Stream) SetState(state []byte) {
	for i, at := range sumOrder {
		s.sum[at] = binary.BigEndian.Uint32(state[4*i:])
	}
}

// PutState writes what SetState would take, 32 bytes.
func (s *Stream) PutState(state []byte) {
	for i, from := range sumOrder {
		binary.BigEndian.PutUint32(state[4*i:], s.sum[from])
	}
}

// OpenBeside is Open, and takes meanwhile from the stream: at most twice as much
// as the longer of each two messages has, at most all but the last 127 bytes, and nothing
// where Besides says so. A nil stream has nothing.
func OpenBeside(messages []Message, s *Stream) {
	checkLengths(messages)
	best.openBeside(messages, s)
}

// EncryptBeside is Encrypt of at most MaxBeside messages, and Hash of as many others
// that do not overlap them, and takes meanwhile from the stream like OpenBeside.
func EncryptBeside(messages, hash []Message, s *Stream) {
	checkLengths(messages)
	checkLengths(hash)
	if max(len(messages), len(hash)) > MaxBeside {
		panic("ige: too many messages beside a stream")
	}
	best.encryptBeside(messages, hash, s)
}

// perTurn is how much of a stream a kernel takes in a turn.
const perTurn = 2 * 64

// turns is how many a kernel can take.
func (s *Stream) turns() int {
	if s == nil {
		return 0
	}
	return len(s.Data) / perTurn
}

// lanes is how many there are beside the stream.
func (s *Stream) lanes() int {
	if s.turns() > 0 {
		return MaxBeside
	}
	return MaxAtOnce
}
