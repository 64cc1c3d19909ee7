package flood

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestKinds tells a guard when requests come and reads the waits.
func TestKinds(t *testing.T) {
	type ask struct {
		at   time.Duration
		want int // seconds to wait
	}
	s := time.Second
	tests := []struct {
		name string
		rule Rule
		asks []ask
	}{
		{"token bucket", Rule{Kind: "token_bucket", Rate: 0.5, Burst: 2}, []ask{
			{0, 0}, {0, 0}, {0, 2}, {2 * s, 0}, {2 * s, 2}, {4 * s, 0}, {60 * s, 0}, {60 * s, 0}, {60 * s, 2},
		}},
		{"token bucket with a longer wait", Rule{Kind: "token_bucket", Rate: 1, Burst: 1, Wait: 30}, []ask{
			{0, 0}, {0, 30}, {10 * s, 20}, {29500 * time.Millisecond, 1}, {30 * s, 0},
		}},
		{"fixed window", Rule{Kind: "fixed_window", Window: Duration(10 * s), Burst: 2}, []ask{
			{0, 0}, {9 * s, 0}, {9 * s, 1}, {10 * s, 0}, {10 * s, 0}, {10 * s, 10}, {20 * s, 0},
		}},
		{"sliding window", Rule{Kind: "sliding_window", Window: Duration(10 * s), Burst: 2}, []ask{
			{0, 0}, {9 * s, 0}, {9 * s, 1}, {10 * s, 0}, {10 * s, 9}, {19 * s, 0},
		}},
		{"growing", Rule{Kind: "growing", Rate: 1, Burst: 1, Wait: 2}, []ask{
			{0, 0}, {0, 2}, {s, 4}, {2 * s, 8}, {9 * s, 16}, {25 * s, 0}, {25 * s, 2},
		}},
		{"concurrency", Rule{Kind: "concurrency", Burst: 2, Wait: 3}, []ask{{0, 0}, {0, 0}, {0, 3}, {s, 2}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.rule.Method = "m"
			if err := tt.rule.Check(); err != nil {
				t.Fatal(err)
			}
			g := NewGuard([]Rule{tt.rule}, 0)
			start := time.Unix(1000, 0)
			for i, a := range tt.asks {
				if got := g.Ask(1, false, 2, "m", start.Add(a.at)).Wait; got != a.want {
					t.Errorf("request %d at %v: wait %d, want %d", i, a.at, got, a.want)
				}
			}
		})
	}
}

func TestScope(t *testing.T) {
	rule := Rule{Method: "upload.*", DC: 4, Kind: "token_bucket", Rate: 0.01, Burst: 1, Premium: true}
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
			g := NewGuard([]Rule{rule}, 0)
			if v := g.Ask(1, false, 4, "upload.getFile", now); v.Wait != 0 {
				t.Fatalf("the first request waits %d s", v.Wait)
			}
			v := g.Ask(tt.account, tt.premium, tt.dc, tt.method, now)
			if v.Wait != tt.want {
				t.Errorf("wait %d, want %d", v.Wait, tt.want)
			}
			if v.Wait > 0 && !v.Premium {
				t.Error("the wait is not for want of Premium")
			}
		})
	}
}

func TestConcurrencyEnds(t *testing.T) {
	g := NewGuard([]Rule{{Method: "m", Kind: "concurrency", Burst: 1}}, 0)
	now := time.Unix(1000, 0)
	first := g.Ask(1, false, 2, "m", now)
	if v := g.Ask(1, false, 2, "m", now); v.Wait != 1 {
		t.Errorf("second at once: wait %d, want 1", v.Wait)
	}
	first.Done()
	if v := g.Ask(1, false, 2, "m", now.Add(time.Second)); v.Wait != 0 {
		t.Errorf("after the first ended: wait %d, want 0", v.Wait)
	}
}

// TestInside: what was underway when a wait was answered is not counted
// as sent inside it, what comes later is.
func TestInside(t *testing.T) {
	g := NewGuard(nil, time.Second)
	now := time.Unix(1000, 0)
	if v := g.Close(1, 2, "m", 10*time.Second, now); v.Wait != 10 {
		t.Fatalf("wait %d, want 10", v.Wait)
	}
	for i, tt := range []struct {
		after  time.Duration
		wait   int
		inside int64
	}{{0, 10, 0}, {time.Second, 9, 0}, {1001 * time.Millisecond, 9, 1}, {9900 * time.Millisecond, 1, 2}, {10 * time.Second, 0, 2}} {
		v := g.Ask(1, false, 2, "m", now.Add(tt.after))
		if issued, inside := g.Counts(); v.Wait != tt.wait || inside != tt.inside || issued != 1 {
			t.Errorf("%d: wait %d, issued %d, inside %d; want %d, 1, %d", i, v.Wait, issued, inside, tt.wait, tt.inside)
		}
	}
}

// TestObeyed: whoever waits as long as it is told is served, by every
// kind of rule, and is never found inside a wait.
func TestObeyed(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	kinds := []string{"token_bucket", "growing", "fixed_window", "sliding_window", "concurrency"}
	for range 300 {
		r := Rule{
			Method: "m", Kind: kinds[rnd.IntN(len(kinds))], Rate: 0.01 + rnd.Float64()*20, Burst: 1 + rnd.IntN(5),
			Window: Duration(1 + rnd.Int64N(int64(time.Minute))), Wait: rnd.IntN(3) * rnd.IntN(10),
		}
		g := NewGuard([]Rule{r}, 0)
		now := time.Unix(1000, 0)
		for range 50 {
			v := g.Ask(1, false, 2, "m", now)
			if v.Wait > 0 {
				now = now.Add(time.Duration(v.Wait) * time.Second)
				if v = g.Ask(1, false, 2, "m", now); v.Wait > 0 {
					t.Fatalf("%+v: told to wait %d s more after waiting", r, v.Wait)
				}
			}
			v.Done()
			now = now.Add(time.Duration(rnd.Int64N(int64(time.Second))))
		}
		if _, inside := g.Counts(); inside != 0 {
			t.Fatalf("%+v: %d requests inside a wait", r, inside)
		}
	}
}

func TestExportsAreLimited(t *testing.T) {
	g := NewGuard(nil, 0)
	now := time.Unix(1000, 0)
	for i := range exportRule.Burst {
		if v := g.Ask(1, false, 2, exportRule.Method, now); v.Wait != 0 {
			t.Fatalf("export %d has to wait", i)
		}
	}
	if v := g.Ask(1, false, 2, exportRule.Method, now); v.Wait != exportRule.Wait {
		t.Errorf("wait %d, want %d", v.Wait, exportRule.Wait)
	}
}
