// Package profile says what a client's CPU time goes into, from a CPU profile.
package profile

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/google/pprof/profile"
)

// A Kind is a sort of work.
type Kind string

// The kinds of work, in the order in which they are told apart: a sample belongs
// to the first whose functions are on its stack.
const (
	FileHash Kind = "hash of the file"   // SHA-256 of whole files, as far as it is not beside packets
	Crypto   Kind = "crypto"             // AES-IGE, msg_key, obfuscation, and what of the file's hash is beside it
	IO       Kind = "system calls"       // files and sockets
	Wakes    Kind = "waking and waiting" // system calls of Go's scheduler
	Garbage  Kind = "memory"             // allocation and its collector
	Checksum Kind = "checksum of parts"  // CRC-32C
	Record   Kind = "checkpoint"
	Schedule Kind = "scheduler"
	Copies   Kind = "copies" // of memory, where nothing above called for it
	Runtime  Kind = "Go's scheduler"
	Rest     Kind = "the rest"
)

// Kinds are all of them, from what must be to what need not.
func Kinds() []Kind {
	return []Kind{Crypto, IO, FileHash, Checksum, Wakes, Runtime, Garbage, Copies, Record, Schedule, Rest}
}

// A rule gives samples to a kind. Of prefixes one must begin the name of a
// function: of the innermost if leaf is set, or else of any on the stack.
type rule struct {
	kind     Kind
	leaf     bool
	prefixes []string
}

const module = "github.com/tghaul/haul/"

func rules() []rule {
	return []rule{
		{Record, false, []string{"github.com/dgraph-io/badger", "github.com/dgraph-io/ristretto", module + "checkpoint."}},
		{FileHash, false, []string{module + "mtproto/crypto.(*Hash).alone", module + "mtproto/crypto.(*Hash).Write"}},
		{Crypto, true, []string{module + "mtproto/internal/ige.", module + "mtproto/internal/ctr.", "crypto/"}},
		{Crypto, false, []string{module + "mtproto/internal/ige.", module + "mtproto/internal/ctr.", "crypto/"}},
		{Checksum, true, []string{"hash/crc32."}},
		{Garbage, false, []string{
			"runtime.gcBgMarkWorker", "runtime.mallocgc", "runtime.gcAssist", "runtime.bgsweep", "runtime.bgscavenge",
			"runtime.gcStart", "runtime.growslice", "runtime.makeslice", "runtime.newobject", "runtime.(*mheap)",
		}},
		{Wakes, true, []string{"runtime.futex", "runtime.usleep", "runtime.osyield", "runtime.nanotime", "runtime.madvise", "runtime.tgkill", "runtime.write1"}},
		{Wakes, false, []string{"internal/runtime/syscall.EpollWait", "internal/runtime/syscall/linux.EpollWait", "runtime.netpollBreak"}},
		{IO, true, []string{"internal/runtime/syscall", "syscall.", "runtime.entersyscall", "runtime.exitsyscall"}},
		{Copies, true, []string{"runtime.memmove", "runtime.memclr"}},
		{Schedule, false, []string{module + "scheduler."}},
		{Runtime, false, []string{
			"runtime.schedule", "runtime.findRunnable", "runtime.mcall", "runtime.park_m", "runtime.goready", "runtime.ready",
			"runtime.wakep", "runtime.mstart", "runtime.systemstack", "runtime.sysmon", "runtime.gopark",
		}},
	}
}

// kindOf is the kind of a stack, its innermost function first.
func kindOf(stack []string) Kind {
	for _, r := range rules() {
		of := stack
		if r.leaf {
			of = stack[:min(1, len(stack))]
		}
		for _, f := range of {
			for _, p := range r.prefixes {
				if strings.HasPrefix(f, p) {
					return r.kind
				}
			}
		}
	}
	return Rest
}

// A Summary is which share of the samples each kind has, and which functions
// have most of the rest.
type Summary struct {
	Shares map[Kind]float64
	Rest   map[string]float64 // share of all, by innermost function
}

// Read sums up a CPU profile in pprof's format.
func Read(b []byte) (*Summary, error) {
	p, err := profile.Parse(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	at := -1
	for i, t := range p.SampleType {
		if t.Type == "cpu" {
			at = i
		}
	}
	if at < 0 {
		return nil, fmt.Errorf("not a CPU profile: %v", p.SampleType)
	}
	s := &Summary{Shares: make(map[Kind]float64), Rest: make(map[string]float64)}
	total := 0.0
	for _, sample := range p.Sample {
		stack, value := names(sample), float64(sample.Value[at])
		total += value
		kind := kindOf(stack)
		s.Shares[kind] += value
		if kind == Rest && len(stack) > 0 {
			s.Rest[stack[0]] += value
		}
	}
	if total == 0 {
		return nil, fmt.Errorf("the profile is empty")
	}
	for k := range s.Shares {
		s.Shares[k] /= total
	}
	for f := range s.Rest {
		s.Rest[f] /= total
	}
	return s, nil
}

func names(s *profile.Sample) (stack []string) {
	for _, l := range s.Location {
		for _, line := range l.Line {
			if line.Function != nil {
				stack = append(stack, line.Function.Name)
			}
		}
	}
	return stack
}
