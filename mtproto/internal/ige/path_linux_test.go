//go:build !purego && (amd64 || arm64)

package ige

import (
	"os"
	"syscall"
	"testing"
)

// guarded is n bytes that end where memory ends (or begin where it begins):
// whoever reads or writes beyond them crashes.
func guarded(t *testing.T, n int, atEnd bool) []byte {
	t.Helper()
	page := os.Getpagesize()
	size := (n + page - 1) / page * page
	b, err := syscall.Mmap(-1, 0, size+2*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Munmap(b); err != nil {
			t.Error(err)
		}
	})
	for _, guard := range [][]byte{b[:page], b[page+size:]} {
		if err := syscall.Mprotect(guard, syscall.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	if atEnd {
		return b[page+size-n : page+size]
	}
	return b[page : page+n]
}

// No kernel reads or writes beyond a message, whatever its length.
func TestGuardedMemory(t *testing.T) {
	for _, atEnd := range []bool{true, false} {
		memory, stream := make([][]byte, MaxAtOnce), guarded(t, 2048, atEnd)
		for i := range memory {
			memory[i] = guarded(t, 1024, atEnd)
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
