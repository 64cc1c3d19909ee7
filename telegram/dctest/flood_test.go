package dctest

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestFloodKinds tells a guard when requests come and reads the waits.
func TestFloodKinds(t *testing.T) {
	type ask struct {
		at   time.Duration
		want int // seconds to wait
	}
	s := time.Second
	tests := []struct {
		name string
		rule FloodRule
		asks []ask
	}{
		{"token bucket", FloodRule{Kind: "token_bucket", Rate: 0.5, Burst: 2}, []ask{
			{0, 0}, {0, 0}, {0, 2}, {2 * s, 0}, {2 * s, 2}, {4 * s, 0}, {60 * s, 0}, {60 * s, 0}, {60 * s, 2},
		}},
		{"token bucket with a longer wait", FloodRule{Kind: "token_bucket", Rate: 1, Burst: 1, Wait: 30}, []ask{
			{0, 0}, {0, 30}, {10 * s, 20}, {29500 * time.Millisecond, 1}, {30 * s, 0},
		}},
		{"fixed window", FloodRule{Kind: "fixed_window", Window: Duration(10 * s), Burst: 2}, []ask{
			{0, 0}, {9 * s, 0}, {9 * s, 1}, {10 * s, 0}, {10 * s, 0}, {10 * s, 10}, {20 * s, 0},
		}},
		{"sliding window", FloodRule{Kind: "sliding_window", Window: Duration(10 * s), Burst: 2}, []ask{
			{0, 0}, {9 * s, 0}, {9 * s, 1}, {10 * s, 0}, {10 * s, 9}, {19 * s, 0},
		}},
		{"growing", FloodRule{Kind: "growing", Rate: 1, Burst: 1, Wait: 2}, []ask{
			{0, 0}, {0, 2}, {s, 4}, {2 * s, 8}, {9 * s, 16}, {25 * s, 0}, {25 * s, 2},
		}},
		{"concurrency", FloodRule{Kind: "concurrency", Burst: 2, Wait: 3}, []ask{{0, 0}, {0, 0}, {0, 3}, {s, 2}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.rule.Method = "m"
			if err := tt.rule.check(); err != nil {
				t.Fatal(err)
			}
			g := newFloodGuard([]FloodRule{tt.rule}, 0)
			start := time.Unix(1000, 0)
			for i, a := range tt.asks {
				if got := g.ask(1, false, 2, "m", start.Add(a.at)).wait; got != a.want {
					t.Errorf("request %d at %v: wait %d, want %d", i, a.at, got, a.want)
				}
			}
		})
	}
}

func TestFloodScope(t *testing.T) {
	rule := FloodRule{Method: "upload.*", DC: 4, Kind: "token_bucket", Rate: 0.01, Burst: 1, Premium: true}
	now := time.Unix(1000, 0)
	tests := []struct {
		name    string
		account int64
		premium bool
		dc      int
		method  string
		want    int
	}{
		{"same", 1, false, 4, "upload.getFile", 100},
		{"another method of the group", 1, false, 4, "upload.getFileHashes", 100},
		{"another account", 2, false, 4, "upload.getFile", 0},
		{"another DC", 1, false, 2, "upload.getFile", 0},
		{"another method", 1, false, 4, "help.getConfig", 0},
		{"with Premium", 1, true, 4, "upload.getFile", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := newFloodGuard([]FloodRule{rule}, 0)
			if v := g.ask(1, false, 4, "upload.getFile", now); v.wait != 0 {
				t.Fatalf("the first request waits %d s", v.wait)
			}
			v := g.ask(tt.account, tt.premium, tt.dc, tt.method, now)
			if v.wait != tt.want {
				t.Errorf("wait %d, want %d", v.wait, tt.want)
			}
			if v.wait > 0 && !v.premium {
				t.Error("the wait is not for want of Premium")
			}
		})
	}
}

func TestFloodConcurrencyEnds(t *testing.T) {
	g := newFloodGuard([]FloodRule{{Method: "m", Kind: "concurrency", Burst: 1}}, 0)
	now := time.Unix(1000, 0)
	first := g.ask(1, false, 2, "m", now)
	if v := g.ask(1, false, 2, "m", now); v.wait != 1 {
		t.Errorf("second at once: wait %d, want 1", v.wait)
	}
	first.done()
	if v := g.ask(1, false, 2, "m", now.Add(time.Second)); v.wait != 0 {
		t.Errorf("after the first ended: wait %d, want 0", v.wait)
	}
}

// TestFloodInside: what was underway when a wait was answered is not counted
// as sent inside it, what comes later is.
func TestFloodInside(t *testing.T) {
	g := newFloodGuard(nil, time.Second)
	now := time.Unix(1000, 0)
	if v := g.close(1, 2, "m", 10*time.Second, now); v.wait != 10 {
		t.Fatalf("wait %d, want 10", v.wait)
	}
	for i, tt := range []struct {
		after  time.Duration
		wait   int
		inside int64
	}{{0, 10, 0}, {time.Second, 9, 0}, {1001 * time.Millisecond, 9, 1}, {9900 * time.Millisecond, 1, 2}, {10 * time.Second, 0, 2}} {
		v := g.ask(1, false, 2, "m", now.Add(tt.after))
		if issued, inside := g.counts(); v.wait != tt.wait || inside != tt.inside || issued != 1 {
			t.Errorf("%d: wait %d, issued %d, inside %d; want %d, 1, %d", i, v.wait, issued, inside, tt.wait, tt.inside)
		}
	}
}

// TestFloodObeyed: whoever waits as long as it is told is served, by every
// kind of rule, and is never found inside a wait.
func TestFloodObeyed(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	kinds := []string{"token_bucket", "growing", "fixed_window", "sliding_window", "concurrency"}
	for range 300 {
		r := FloodRule{
			Method: "m", Kind: kinds[rnd.IntN(len(kinds))], Rate: 0.01 + rnd.Float64()*20, Burst: 1 + rnd.IntN(5),
			Window: Duration(1 + rnd.Int64N(int64(time.Minute))), Wait: rnd.IntN(3) * rnd.IntN(10),
		}
		g := newFloodGuard([]FloodRule{r}, 0)
		now := time.Unix(1000, 0)
		for range 50 {
			v := g.ask(1, false, 2, "m", now)
			if v.wait > 0 {
				now = now.Add(time.Duration(v.wait) * time.Second)
				if v = g.ask(1, false, 2, "m", now); v.wait > 0 {
					t.Fatalf("%+v: told to wait %d s more after waiting", r, v.wait)
				}
			}
			v.done()
			now = now.Add(time.Duration(rnd.Int64N(int64(time.Second))))
		}
		if _, inside := g.counts(); inside != 0 {
			t.Fatalf("%+v: %d requests inside a wait", r, inside)
		}
	}
}

func TestExportsAreLimited(t *testing.T) {
	g := newFloodGuard(nil, 0)
	now := time.Unix(1000, 0)
	for i := range exportRule.Burst {
		if v := g.ask(1, false, 2, exportRule.Method, now); v.wait != 0 {
			t.Fatalf("export %d has to wait", i)
		}
	}
	if v := g.ask(1, false, 2, exportRule.Method, now); v.wait != exportRule.Wait {
		t.Errorf("wait %d, want %d", v.wait, exportRule.Wait)
	}
}

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
