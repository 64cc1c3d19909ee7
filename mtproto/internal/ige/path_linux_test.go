//go:build !purego && (amd64 || arm64)

package ige

import (
	"testing"

	"github.com/tghaul/haul/mtproto/internal/cputest"
)

// No kernel reads or writes beyond a message, whatever its length.
func TestGuardedMemory(t *testing.T) {
	for _, atEnd := range []bool{true, false} {
		memory, stream := make([][]byte, MaxAtOnce), cputest.Guarded(t, 2048, atEnd)
		for i := range memory {
			memory[i] = cputest.Guarded(t, 1024, atEnd)
		}
		for size := 0; size <= 1024; size += block {
			for n := 1; n <= MaxAtOnce; n++ {
				messages := make([]Message, n)
				for i := range messages {
					size := max(0, size-16*i)
					messages[i] = Message{Data: memory[i][:size]}
					if atEnd {
						messages[i].Data = memory[i][1024-size:]
					}
				}
				for _, p := range paths() {
					p.encrypt(messages)
					p.decrypt(messages)
					p.hash(messages)
					p.open(messages)
					for _, taken := range []int{size, 2048} {
						s := &Stream{Data: stream[:taken]}
						if atEnd {
							s.Data = stream[2048-taken:]
						}
						p.openBeside(messages, &one{Stream: s})
						s.Data = stream
						p.encryptBeside(messages[:(n+1)/2], messages[(n+1)/2:], &one{Stream: s})
					}
				}
			}
		}
	}
}
