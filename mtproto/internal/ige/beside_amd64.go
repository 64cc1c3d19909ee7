//go:build !purego

package ige

import "unsafe"

func (p path) openBeside(messages []Message, s *Stream) {
	if !p.besides() {
		p.open(messages)
		return
	}
	p.run(opening, messages, s)
}

// advanceBeside has the active lanes opened, and the stream hashed, for so many turns.
func (p path) advanceBeside(lanes *[MaxAtOnce]lane, active, turns int, s *Stream) {
	point(opening, lanes[:active])
	spare(lanes[:MaxBeside], active)
	s.in(lanes)
	var scratch [scratchSize]byte
	openBeside(lanes[0].first(), &scratch[0], turns)
	s.out(lanes, turns)
	moved(opening, lanes[:active], turns)
}

// in puts the stream into the lane behind the messages'.
func (s *Stream) in(lanes *[MaxAtOnce]lane) {
	lanes[MaxBeside] = lane{hash: unsafe.Pointer(&s.Data[0]), sum: s.sum}
}

// out takes it out again, so many turns later.
func (s *Stream) out(lanes *[MaxAtOnce]lane, turns int) {
	s.sum, s.Data = lanes[MaxBeside].sum, s.Data[turns*perTurn:]
}

// encryptBeside works on lanes that are made of two messages each, one to be encrypted
// and one to be hashed, until there is nothing left of one sort.
func (p path) encryptBeside(messages, hash []Message, s *Stream) {
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
	for encrypted > 0 {
		turns := min(sliceBytes/hashBlock, s.turns())
		for i := range encrypted {
			turns = min(turns, ciphers[i].turns(encrypting)*block/hashBlock)
		}
		for i := range hashed {
			turns = min(turns, hashes[i].turns(hashing))
		}
		if turns == 0 {
			break
		}
		p.cross(ciphers[:encrypted], hashes[:hashed], turns, s)
		encrypted, hashed = settle(encrypting, &ciphers, encrypted), settle(hashing, &hashes, hashed)
	}
	for encrypted > 0 {
		encrypted = p.pass(encrypting, &ciphers, encrypted, nil)
	}
	for hashed > 0 {
		hashed = p.pass(hashing, &hashes, hashed, nil)
	}
}

// cross is so many turns of 64 bytes each. Where there is nothing to be hashed, the
// kernel hashes what it encrypts, for nothing.
func (p path) cross(ciphers, hashes []lane, turns int, s *Stream) {
	point(encrypting, ciphers)
	point(hashing, hashes)
	var lanes [MaxAtOnce]lane
	copy(lanes[:], ciphers)
	spare(lanes[:MaxBeside], len(ciphers))
	for i := range MaxBeside {
		if lanes[i].hash = lanes[i].cipher; i < len(hashes) {
			lanes[i].hash, lanes[i].sum = hashes[i].hash, hashes[i].sum
		}
	}
	s.in(&lanes)
	var scratch [scratchSize]byte
	encryptBeside(lanes[0].first(), &scratch[0], turns)
	s.out(&lanes, turns)
	for i := range ciphers {
		ciphers[i].chain = lanes[i].chain
	}
	for i := range hashes {
		hashes[i].sum = lanes[i].sum
	}
	moved(encrypting, ciphers, turns*hashBlock/block)
	moved(hashing, hashes, turns)
}
