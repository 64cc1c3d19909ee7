//go:build !purego && (amd64 || arm64)

package ige

import (
	"encoding/binary"
	"unsafe"
)

// A lane is a message that is being worked on.
type lane struct {
	// These the kernels know by their offsets.

	cipher unsafe.Pointer // the next block of AES
	hash   unsafe.Pointer // the next block of SHA-256
	chain  [2][block]byte // output, then input of the AES block before
	sum    [8]uint32      // SHA-256's state in sumOrder
	keys   [15 * block]byte

	m *Message
	// ciphered bytes of m.Data are encrypted or decrypted, hashed ones are in sum.
	// Invariant between turns of opening: hashed+lag <= ciphered.
	ciphered, hashed int
}

// The offsets that _asm/main.go and _asm/arm64/main.go have. Another layout does not compile.
var _ = [1]struct{}{}[unsafe.Offsetof(lane{}.hash)-8|unsafe.Offsetof(lane{}.chain)-16|
	unsafe.Offsetof(lane{}.sum)-48|unsafe.Offsetof(lane{}.keys)-80|unsafe.Sizeof(lane{})-344]

// An operation is what is done to messages.
type operation int

const (
	encrypting operation = iota
	decrypting
	hashing
	opening
)

const (
	hashBlock = 64
	prefixLen = 32
	// A block of the hash straddles the data by half its length, since the
	// prefix is half as long.
	firstHashed = hashBlock - prefixLen
)

// unit is how many bytes of each message a kernel takes in a turn.
func (op operation) unit() int {
	if op == encrypting || op == decrypting {
		return block
	}
	return hashBlock
}

func (p path) encrypt(messages []Message) {
	if p == portable {
		for i := range messages {
			encryptPortable(&messages[i])
		}
		return
	}
	p.run(encrypting, messages, nil)
}

func (p path) decrypt(messages []Message) {
	if p == portable {
		for i := range messages {
			decryptPortable(&messages[i])
		}
		return
	}
	p.run(decrypting, messages, nil)
}

// run works through messages of any lengths, as many at a time as there are lanes.
func (p path) run(op operation, messages []Message, beside *loan) {
	var lanes [MaxAtOnce]lane
	active, lag := 0, p.lag(len(messages), beside)
	for {
		for active < MaxAtOnce && len(messages) > 0 {
			// Not in start: what is stored there is taken to outlive this call.
			lanes[active] = lane{m: &messages[0], sum: initialSum}
			if lanes[active].start(op, lag) {
				active++
			}
			messages = messages[1:]
		}
		if active == 0 {
			return
		}
		active = p.pass(op, &lanes, active, beside)
	}
}

// pass works on the active lanes until one of them ends, or long enough, on two of
// them if there is a stream to go beside. It returns how many are active after it.
func (p path) pass(op operation, lanes *[MaxAtOnce]lane, active int, beside *loan) int {
	turns := sliceBytes / op.unit()
	for i := range active {
		turns = min(turns, lanes[i].turns(op))
	}
	n := 0
	if beside != nil {
		n = beside.turns()
	}
	if n > 0 {
		p.advanceBeside(lanes, active, min(turns, n), beside.stream)
	} else {
		p.advance(op, lanes, active, turns)
	}
	return settle(op, lanes, active)
}

// settle finishes the lanes that have no turns left, and returns how many have.
func settle(op operation, lanes *[MaxAtOnce]lane, active int) int {
	for i := active - 1; i >= 0; i-- {
		if lanes[i].turns(op) == 0 {
			lanes[i].finish(op)
			active--
			lanes[i] = lanes[active]
		}
	}
	return active
}

// start does what comes before the kernel's turns. A message that is too short
// to have any is done: then it returns false.
func (l *lane) start(op operation, lag int) bool {
	m := l.m
	switch op {
	case encrypting:
		expandEncrypt(&l.keys, &m.Key)
		l.chain = [2][block]byte{[block]byte(m.IV[:block]), [block]byte(m.IV[block:])}
	case decrypting, opening:
		expandDecrypt(&l.keys, &m.Key)
		l.chain = [2][block]byte{[block]byte(m.IV[block:]), [block]byte(m.IV[:block])}
	case hashing:
	}
	if op == opening {
		l.decrypt(min(firstHashed+lag, len(m.Data)))
	}
	if (op == opening || op == hashing) && len(m.Data) >= firstHashed {
		var first [hashBlock]byte
		copy(first[:], m.Prefix[:])
		copy(first[prefixLen:], m.Data)
		l.update(first[:])
		l.hashed = firstHashed
	}
	if l.turns(op) > 0 {
		return true
	}
	l.finish(op)
	return false
}

// turns is how many the kernel can take.
func (l *lane) turns(op operation) int {
	if op == hashing {
		return (len(l.m.Data) - l.hashed) / hashBlock
	}
	return (len(l.m.Data) - l.ciphered) / op.unit()
}

// finish does what comes after the kernel's turns: less than 64 bytes of the
// cipher, and the padding of the hash.
func (l *lane) finish(op operation) {
	if op == opening {
		l.decrypt(len(l.m.Data) - l.ciphered)
	}
	if op == opening || op == hashing {
		l.finishSum()
	}
}

// decrypt decrypts the next n bytes.
func (l *lane) decrypt(n int) {
	if n == 0 {
		return
	}
	l.cipher = unsafe.Pointer(&l.m.Data[l.ciphered])
	decrypt1(l.first(), n/block)
	l.ciphered += n
}

// update takes whole blocks into the hash.
func (l *lane) update(b []byte) {
	hash1(l.first(), unsafe.SliceData(b), len(b)/hashBlock)
}

// finishSum hashes what is left, with the padding of FIPS 180-4, 5.1.1.
func (l *lane) finishSum() {
	var tail [3 * hashBlock]byte
	n := 0
	if l.hashed == 0 {
		n = copy(tail[:], l.m.Prefix[:])
	}
	n += copy(tail[n:], l.m.Data[l.hashed:])
	tail[n] = 0x80
	end := (n + 1 + 8 + hashBlock - 1) / hashBlock * hashBlock
	binary.BigEndian.PutUint64(tail[end-8:], 8*uint64(prefixLen+len(l.m.Data)))
	l.update(tail[:end])
	for i, from := range sumOrder {
		binary.BigEndian.PutUint32(l.m.Sum[4*i:], l.sum[from])
	}
}

// initialSum is SHA-256's initial state, FIPS 180-4, 5.3.3, in a lane's order.
var initialSum = func() (sum [8]uint32) {
	for i, word := range [8]uint32{
		0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
		0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
	} {
		sum[sumOrder[i]] = word
	}
	return sum
}()

func (l *lane) first() *byte { return (*byte)(unsafe.Pointer(l)) }

// advance gives the first active lanes a number of turns, at least one.
func (p path) advance(op operation, lanes *[MaxAtOnce]lane, active, turns int) {
	point(op, lanes[:active])
	if width := p.width(op, active); width > 1 {
		spare(lanes[:width], active)
		p.together(op, width, lanes[0].first(), turns)
	} else {
		for i := range active {
			lanes[i].kernel1(op, turns)
		}
	}
	moved(op, lanes[:active], turns)
}

// point sets the pointers that the kernels take.
func point(op operation, lanes []lane) {
	for i := range lanes {
		l := &lanes[i]
		if op != hashing {
			l.cipher = unsafe.Pointer(&l.m.Data[l.ciphered])
		}
		if op == hashing || op == opening {
			l.hash = unsafe.Pointer(&l.m.Data[l.hashed])
		}
	}
}

// spare fills up the lanes behind the active ones. Lanes without a message of their own repeat
// another's work: a kernel reads a block of all lanes before it writes one.
func spare(lanes []lane, active int) {
	for i := active; i < len(lanes); i++ {
		lanes[i] = lanes[0]
	}
}

// moved takes in that a kernel has done so many turns.
func moved(op operation, lanes []lane, turns int) {
	for i := range lanes {
		l := &lanes[i]
		l.cipher, l.hash = nil, nil
		if op != hashing {
			l.ciphered += turns * op.unit()
		}
		if op == hashing || op == opening {
			l.hashed += turns * op.unit()
		}
	}
}

func (l *lane) kernel1(op operation, turns int) {
	switch op {
	case encrypting:
		encrypt1(l.first(), turns)
	case decrypting:
		decrypt1(l.first(), turns)
	case hashing:
		hash1(l.first(), (*byte)(l.hash), turns)
	case opening:
		open1(l.first(), turns)
	}
}
