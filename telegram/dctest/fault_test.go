package dctest

import (
	"math/rand/v2"
	"testing"
)

func TestFaultPlan(t *testing.T) {
	p := newFaultPlan([]Fault{
		{Kind: "error", Method: "a", At: []int64{2, 4}, Code: 500, Message: "X"},
		{Kind: "flood_wait", Method: "*", At: []int64{2, 3}},
		{Kind: "error", Method: "a", DC: 4, Rate: 1},
		{Kind: "bad_salt", Method: "a", At: []int64{1}},
	}, rand.Float64)
	var got []string
	for range 5 {
		f, ok := p.next("a", 2, callFaults...)
		if !ok {
			f.Kind = "-"
		}
		got = append(got, f.Kind)
	}
	want := []string{"-", "error", "flood_wait", "error", "-"} // all count each request, the first that strikes wins
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("request %d: %s, want %s", i+1, got[i], want[i])
		}
	}
	if _, ok := p.next("b", 4, callFaults...); ok {
		t.Error("a fault of method a struck b")
	}
	if f, _ := p.next("", 2, "bad_salt"); f.Kind != "bad_salt" {
		t.Error("no bad salt for the first packet")
	}
	if p.has("reset") || !p.has("bad_salt") {
		t.Error("has is wrong")
	}
}
