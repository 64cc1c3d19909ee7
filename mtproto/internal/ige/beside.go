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
	// More, if not nil, returns what follows when there is nothing left of Data; nil if
	// that is not known yet. Whoever has the stream calls it.
	More func() []byte
	sum  [8]uint32 // in a lane's order
}

// Streams are those that wait to be hashed.
type Streams interface {
	// Take gives one out, of which Turns is not 0; nil if none waits. It is asked often.
	Take() *Stream
	// Put gives back what Take gave.
	Put(*Stream)
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

// OpenBeside is Open, and hashes meanwhile of the streams that wait, or come to
// wait, one after the other: two bytes at most for one of the longer of two messages.
func OpenBeside(messages []Message, streams Streams) {
	checkLengths(messages)
	best.openBeside(messages, streams)
}

// EncryptBeside is Encrypt of at most MaxBeside messages, and Hash of as many others
// that do not overlap them, with streams as for OpenBeside.
func EncryptBeside(messages, hash []Message, streams Streams) {
	checkLengths(messages)
	checkLengths(hash)
	if max(len(messages), len(hash)) > MaxBeside {
		panic("ige: too many messages beside a stream")
	}
	best.encryptBeside(messages, hash, streams)
}

// StreamTurn is how many bytes of a stream a kernel takes in a turn.
const StreamTurn = 2 * 64

// Turns is how many a kernel can take of Data, if that is not used up. 0 means
// that nothing more is taken of the stream, for what is left of Data is less than a turn.
func (s *Stream) Turns() int {
	if len(s.Data) == 0 && s.More != nil {
		s.Data = s.More()
	}
	return len(s.Data) / StreamTurn
}

// A loan is the stream that goes beside the messages at hand, if there is one.
type loan struct {
	from   Streams // nil: there are none
	stream *Stream // nil: none at present
}

// turns is how many a kernel can take of the stream, or else of the next.
func (l *loan) turns() int {
	if l.from == nil {
		return 0
	}
	for {
		if l.stream == nil {
			if l.stream = l.from.Take(); l.stream == nil {
				return 0
			}
		}
		if n := l.stream.Turns(); n > 0 {
			return n
		}
		l.end()
	}
}

// end gives the stream back.
func (l *loan) end() {
	if l.stream != nil {
		l.from.Put(l.stream)
		l.stream = nil
	}
}
