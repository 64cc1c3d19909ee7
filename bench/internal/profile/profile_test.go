package profile

import (
	"bytes"
	"math"
	"testing"

	"github.com/google/pprof/profile"
)

func TestRead(t *testing.T) {
	b := written(t, map[int64][]string{ // by CPU time; the innermost function first
		10: {"github.com/tghaul/haul/mtproto/internal/ige.decrypt", "github.com/tghaul/haul/mtproto.(*Session).read"},
		20: {"crypto/internal/fips140/sha256.blockSHANI", "crypto/sha256.Sum256", "github.com/tghaul/haul/mtproto/crypto.MsgKey"},
		5:  {"crypto/internal/fips140/sha256.blockSHANI", "github.com/tghaul/haul/mtproto/crypto.(*Hash).write", "github.com/tghaul/haul/mtproto/crypto.(*Hash).alone"},
		7:  {"internal/runtime/syscall/linux.Syscall6", "syscall.pwrite", "os.(*File).WriteAt"},
		3:  {"internal/runtime/syscall/linux.Syscall6", "internal/runtime/syscall/linux.EpollWait", "runtime.netpoll"},
		4:  {"runtime.memmove", "github.com/tghaul/haul/transfer.x"},
		6:  {"runtime.memclrNoHeapPointers", "runtime.mallocgc", "runtime.makeslice"},
		8:  {"github.com/tghaul/haul/scheduler.(*Scheduler).next"},
		9:  {"internal/runtime/syscall/linux.Syscall6", "syscall.write", "github.com/dgraph-io/badger/v4.(*DB).write"},
		28: {"github.com/tghaul/haul/transfer.(*run).loop"},
	})
	s, err := Read(b)
	if err != nil {
		t.Fatal(err)
	}
	want := map[Kind]float64{
		Crypto: 0.30, FileHash: 0.05, IO: 0.07, Wakes: 0.03, Copies: 0.04, Garbage: 0.06, Schedule: 0.08, Record: 0.09, Rest: 0.28,
	}
	sum := 0.0
	for _, k := range Kinds() {
		sum += s.Shares[k]
		if math.Abs(s.Shares[k]-want[k]) > 1e-9 {
			t.Errorf("%s has %g, want %g", k, s.Shares[k], want[k])
		}
	}
	if math.Abs(sum-1) > 1e-9 {
		t.Errorf("the kinds have %g of all", sum)
	}
	if got := s.Rest["github.com/tghaul/haul/transfer.(*run).loop"]; math.Abs(got-0.28) > 1e-9 {
		t.Errorf("the rest is %v", s.Rest)
	}
	if _, err := Read(written(t, nil)); err == nil {
		t.Error("an empty profile was summed up")
	}
}

func written(t *testing.T, stacks map[int64][]string) []byte {
	t.Helper()
	p := &profile.Profile{SampleType: []*profile.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}}}
	for value, stack := range stacks {
		s := &profile.Sample{Value: []int64{1, value}}
		for _, name := range stack {
			f := &profile.Function{ID: uint64(len(p.Function) + 1), Name: name}
			l := &profile.Location{ID: f.ID, Line: []profile.Line{{Function: f}}}
			p.Function, p.Location, s.Location = append(p.Function, f), append(p.Location, l), append(s.Location, l)
		}
		p.Sample = append(p.Sample, s)
	}
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
