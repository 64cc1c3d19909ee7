//go:build !purego

package ige

import "unsafe"

func (p path) openBeside(messages []Message, streams Streams) {
	if !p.besides() {
		p.open(messages)
		return
	}
	beside := loan{from: streams}
	p.run(opening, messages, &beside)
	beside.end()
}

// advanceBeside opens the first of the active lanes, MaxBeside at most, and hashes the
// stream, for so many turns.
func (p path) advanceBeside(lanes *[MaxAtOnce]lane, active, turns int, s *Stream) {
	active = min(active, MaxBeside)
	point(opening, lanes[:active])
	var k [MaxAtOnce]lane
	for i := range MaxBeside {
		l := &lanes[min(i, active-1)]
		k[i] = lane{cipher: l.cipher, hash: l.hash, chain: l.chain, sum: l.sum, keys: l.keys}
	}
	s.in(&k)
	var scratch [scratchSize]byte
	openBeside(k[0].first(), &scratch[0], turns)
	s.out(&k, turns)
	for i := range active {
		lanes[i].chain, lanes[i].sum = k[i].chain, k[i].sum
	}
	moved(opening, lanes[:active], turns)
}

// in puts the stream into the lane behind the messages'.
func (s *Stream) in(lanes *[MaxAtOnce]lane) {
	lanes[MaxBeside] = lane{hash: unsafe.Pointer(&s.Data[0]), sum: s.sum}
}

// out takes it out again, so many turns later.
func (s *Stream) out(lanes *[MaxAtOnce]lane, turns int) {
	s.sum, s.Data = lanes[MaxBeside].sum, s.Data[turns*StreamTurn:]
}

// encryptBeside works on lanes that are made of two messages each, one to be encrypted
// and one to be hashed, until there is nothing left of one sort.
func (p path) encryptBeside(messages, hash []Message, streams Streams) {
	if !p.besides() {
		p.encrypt(messages)
		p.hash(hash)
		return
	}
	var ciphers, hashes [MaxAtOnce]lane
	encrypted, hashed := 0, 0 // lanes that are active
	for i := range messages {
		ciphers[encrypted] = lane{m: &messages[i]}
		if ciphers[encrypted].start(encrypting, 0) {
			encrypted++
		}
	}
	for i := range hash {
		hashes[hashed] = lane{m: &hash[i], sum: initialSum}
		if hashes[hashed].start(hashing, 0) {
			hashed++
		}
	}
	beside := loan{from: streams}
	for encrypted > 0 {
		turns := min(sliceBytes/hashBlock, beside.turns())
		for i := range encrypted {
			turns = min(turns, ciphers[i].turns(encrypting)*block/hashBlock)
		}
		for i := range hashed {
			turns = min(turns, hashes[i].turns(hashing))
		}
		if turns > 0 {
			p.cross(ciphers[:encrypted], hashes[:hashed], turns, beside.stream)
			encrypted, hashed = settle(encrypting, &ciphers, encrypted), settle(hashing, &hashes, hashed)
		} else {
			encrypted = p.pass(encrypting, &ciphers, encrypted, nil)
		}
	}
	beside.end()
	for hashed > 0 {
		hashed = p.pass(hashing, &hashes, hashed, nil)
	}
}

// cross is so many turns of 64 bytes each. Where there is nothing to be hashed, the
// kernel hashes what it encrypts, for nothing.
func (p path) cross(ciphers, hashes []lane, turns int, s *Stream) {
	point(encrypting, ciphers)
	point(hashing, hashes)
	var k [MaxAtOnce]lane
	for i := range MaxBeside {
		c := &ciphers[min(i, len(ciphers)-1)]
		k[i] = lane{cipher: c.cipher, hash: c.cipher, chain: c.chain, keys: c.keys}
		if i < len(hashes) {
			k[i].hash, k[i].sum = hashes[i].hash, hashes[i].sum
		}
	}
	s.in(&k)
	var scratch [scratchSize]byte
	encryptBeside(k[0].first(), &scratch[0], turns)
	s.out(&k, turns)
	for i := range ciphers {
		ciphers[i].chain = k[i].chain
	}
	for i := range hashes {
		hashes[i].sum = k[i].sum
	}
	moved(encrypting, ciphers, turns*hashBlock/block)
	moved(hashing, hashes, turns)
}
