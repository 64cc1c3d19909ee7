package mtserver

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestCheckMsgID(t *testing.T) {
	now := time.Unix(1_700_000_000, 500_000_000)
	tests := []struct {
		name string
		id   int64
		want int
	}{
		{"now", msgIDAt(now) &^ 3, accepted},
		{"just young enough", msgIDAt(now.Add(-maxAge))&^3 + 4, accepted},
		{"too old", msgIDAt(now.Add(-maxAge-time.Millisecond)) &^ 3, badMsgIDLow},
		{"just early enough", msgIDAt(now.Add(maxFuture)) &^ 3, accepted},
		{"too early", msgIDAt(now.Add(maxFuture+time.Millisecond)) &^ 3, badMsgIDHigh},
		{"bit 0", msgIDAt(now)&^3 | 1, badMsgIDBits},
		{"bit 1", msgIDAt(now)&^3 | 2, badMsgIDBits},
		{"zero", 0, badMsgIDLow},
		{"negative", -4, badMsgIDLow},
		{"highest", 1<<63 - 4, badMsgIDHigh},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := checkMsgID(tt.id, now); got != tt.want {
				t.Errorf("checkMsgID(%#x) = %d, want %d", tt.id, got, tt.want)
			}
		})
	}
}

func TestMsgTime(t *testing.T) {
	for _, want := range []time.Time{time.Unix(0, 0), time.Unix(1, 999_999_999), time.Unix(1_700_000_000, 123_456_789)} {
		if got := msgTime(msgIDAt(want)); want.Sub(got).Abs() > time.Nanosecond {
			t.Errorf("msgTime(msgIDAt(%v)) = %v", want, got)
		}
	}
}

// TestWindowModel runs the window against the rule of the documentation,
// applied to all pairs of messages.
func TestWindowModel(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 2))
	for range 200 {
		w := window{limit: 1 << 20}
		seen := map[int64]int32{}
		for range 60 {
			id, seqNo := rnd.Int64N(40)*4+4, rnd.Int32N(20)
			if _, dup := seen[id]; dup {
				if m := w.get(id); m == nil || m.seqNo != seen[id] {
					t.Fatalf("seed %d: get(%d) = %+v, want seqno %d", seed, id, m, seen[id])
				}
				continue
			}
			want := naiveSeqNo(seen, id, seqNo)
			got := w.check(id, seqNo)
			// Both rules may be broken at once; either answer is right then.
			if (got == accepted) != (want[0] == accepted) || !slices.Contains(want, got) {
				t.Fatalf("seed %d: check(%d, %d) = %d, want one of %v; have %v", seed, id, seqNo, got, want, seen)
			}
			if got == accepted {
				w.insert(&inMsg{id: id, seqNo: seqNo})
				seen[id] = seqNo
			}
		}
		if len(w.list) != len(seen) || !slices.IsSortedFunc(w.list, func(a, b *inMsg) int { return int(a.id - b.id) }) {
			t.Fatalf("seed %d: %d records, want %d sorted ones", seed, len(w.list), len(seen))
		}
	}
}

// naiveSeqNo is the rule for codes 32 and 33 as documented.
func naiveSeqNo(seen map[int64]int32, id int64, seqNo int32) []int {
	var codes []int
	for _, other := range slices.Sorted(maps.Keys(seen)) {
		s := seen[other]
		equalOdd := s == seqNo && s&1 == 1
		if other < id && (s > seqNo || equalOdd) {
			codes = append(codes, badSeqNoLow)
		}
		if other > id && (s < seqNo || equalOdd) {
			codes = append(codes, badSeqNoHigh)
		}
	}
	if len(codes) == 0 {
		return []int{accepted}
	}
	return codes
}

func TestWindowForgets(t *testing.T) {
	w := window{limit: 10}
	for i := range int64(20) {
		w.insert(&inMsg{id: 4 * (i + 1), seqNo: int32(2*i + 1), running: i == 5})
	}
	if want := int64(4 * 5); w.floor != want {
		t.Errorf("floor = %d, want %d: a running query ends the forgetting", w.floor, want)
	}
	if got := w.check(8, 3); got != badTooOld {
		t.Errorf("check of a forgotten id = %d, want %d", got, badTooOld)
	}
	tests := []struct {
		name string
		id   int64
		want byte
	}{
		{"forgotten", 8, stateUnknown},
		{"running", 24, stateReceived},
		{"between", 26, stateNot},
		{"too high", 400, stateNotHigh},
	}
	for _, tt := range tests {
		if got := w.state(tt.id); got != tt.want {
			t.Errorf("state of a %s message = %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestWindowState(t *testing.T) {
	done := make(chan struct{})
	tests := []struct {
		name string
		msg  inMsg
		want byte
	}{
		{"service", inMsg{id: 4, seqNo: 0}, stateReceived | stateNoAck},
		{"query", inMsg{id: 4, seqNo: 1, running: true, done: done}, stateReceived | stateRPC},
		{"acknowledged", inMsg{id: 4, seqNo: 1, acked: true, done: done}, stateReceived | stateAcked | stateRPC},
		{"answered", inMsg{id: 4, seqNo: 1, done: done, answer: 9}, stateReceived | stateRPC | stateAnswered},
		{"answer known", inMsg{id: 4, seqNo: 1, done: done, answer: 9, known: true}, stateReceived | stateRPC | stateAnswered | stateTheyKnow},
		{"answer lost", inMsg{id: 4, seqNo: 1, done: done, answer: 9, lost: true}, stateUnknown},
	}
	for _, tt := range tests {
		w := window{limit: 10}
		w.insert(&tt.msg)
		if got := w.state(4); got != tt.want {
			t.Errorf("%s: state = %d, want %d", tt.name, got, tt.want)
		}
	}
}
