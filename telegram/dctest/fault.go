package dctest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/tghaul/haul/telegram/dctest/flood"
)

// A Fault makes the cluster misbehave, at given requests or at a rate.
type Fault struct {
	// Kind is one of:
	//
	//	flood_wait              420 FLOOD_WAIT_Seconds; the method is closed that long
	//	error                   rpc_error with Code and Message
	//	file_reference_expired  all references to the file expire now
	//	references_expired      all references to all files expire now
	//	file_migrate            the file moves to another DC; messages go on naming the old one
	//	gone                    the message of the file is deleted, and references expire
	//	hash_lie                one of the hashes in the answer of upload.getFileHashes is wrong
	//	no_hashes               upload.getFileHashes states no hashes
	//	cut_upload              a send call that is given an upload makes a file of it that lacks its last bytes
	//	short_part              the answer of upload.getFile lacks its last bytes
	//	reset                   the connection is reset and the request lost
	//	cut_answer              the answer breaks off in the middle: the connection is reset, the request was executed
	//	bad_salt                the salts of the key are replaced
	//	transport_error         a packet is answered with the transport error Code, such as -404
	//	signed_out              the account is signed out everywhere: 401 Message to all that its keys call, until they sign in again
	//	frozen                  the account is frozen: FROZEN_METHOD_INVALID to all that it would write
	//	takeout_ended           the export sessions of the account are ended: TAKEOUT_INVALID
	//	guest_revoked           an authorisation that was brought to the DC ends: AUTH_KEY_UNREGISTERED, until it is brought again
	//	move                    the DC gets new addresses, is silent at the old ones, and sends updateConfig
	Kind    string  `json:"kind"`
	Method  string  `json:"method"`  // that it concerns, also "upload.*"; upload.getFile if ""; of bad_salt and transport_error none
	DC      int     `json:"dc"`      // 0: every DC
	At      []int64 `json:"at"`      // which requests of the method, from 1; of bad_salt and transport_error: which packets
	Rate    float64 `json:"rate"`    // share of the requests or packets, 0 to 1
	Seconds int     `json:"seconds"` // of flood_wait; 1 if 0
	Code    int     `json:"code"`    // of error and transport_error; of signed_out 401 if 0
	Message string  `json:"message"` // of error; of signed_out SESSION_REVOKED if ""
}

// Kinds of faults: those that strike calls, and those that strike packets.
var (
	callFaults = []string{"flood_wait", "error", "file_reference_expired", "references_expired", "file_migrate", "gone", "short_part", "hash_lie", "no_hashes", "cut_upload", "signed_out", "frozen", "takeout_ended", "guest_revoked", "move"}
	wireFaults = []string{"reset", "cut_answer", "bad_salt", "transport_error"}
	// fileFaults only make sense for a request that names a file.
	fileFaults = []string{"file_reference_expired", "references_expired", "file_migrate", "gone", "short_part"}
)

func (f *Fault) check() error {
	known := slices.Contains(callFaults, f.Kind) || slices.Contains(wireFaults, f.Kind)
	switch {
	case !known:
		return fmt.Errorf("unknown kind %q", f.Kind)
	case !(f.Rate >= 0 && f.Rate <= 1):
		return fmt.Errorf("rate is %v, want 0 to 1", f.Rate)
	case f.Rate == 0 && len(f.At) == 0:
		return fmt.Errorf("%s never strikes: set rate or at", f.Kind)
	case slices.Min(append([]int64{1}, f.At...)) < 1:
		return fmt.Errorf("at counts requests from 1")
	case f.Kind == "error" && (f.Code == 0 || f.Message == ""):
		return fmt.Errorf("an error needs code and message")
	case f.Kind == "transport_error" && f.Code >= 0:
		return fmt.Errorf("a transport_error needs a code below 0")
	case f.Seconds < 0:
		return fmt.Errorf("seconds is %d", f.Seconds)
	case slices.Contains(fileFaults, f.Kind) && !flood.Covers(f.Method, "upload.getFile"):
		return fmt.Errorf("%s concerns upload.getFile, not %s", f.Kind, f.Method)
	case (f.Kind == "hash_lie" || f.Kind == "no_hashes") && !flood.Covers(f.Method, "upload.getFileHashes"):
		return fmt.Errorf("%s concerns upload.getFileHashes, not %s", f.Kind, f.Method)
	case f.Kind == "cut_upload" && !strings.HasPrefix(f.Method, "messages."):
		return fmt.Errorf("cut_upload concerns messages.sendMedia or messages.uploadMedia, not %s", f.Method)
	}
	return nil
}

// A faultPlan counts requests and says which fault strikes. It may be used
// from several goroutines at once.
type faultPlan struct {
	mu     sync.Mutex
	faults []Fault
	seen   []int64
	struck map[string]int64 // by kind
	rnd    func() float64
}

func newFaultPlan(faults []Fault, rnd func() float64) *faultPlan {
	return &faultPlan{faults: faults, seen: make([]int64, len(faults)), struck: map[string]int64{}, rnd: rnd}
}

// next counts a request of a method, or a packet if that is "", and returns
// the first fault of the kinds that strikes it, if any.
func (p *faultPlan) next(method string, dc int, kinds ...string) (fault Fault, strikes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, f := range p.faults {
		if method != "" && !flood.Covers(f.Method, method) || f.DC != 0 && f.DC != dc || !slices.Contains(kinds, f.Kind) {
			continue
		}
		p.seen[i]++
		if !strikes && (slices.Contains(f.At, p.seen[i]) || f.Rate > 0 && p.rnd() < f.Rate) {
			fault, strikes = f, true
			p.struck[f.Kind]++
		}
	}
	return fault, strikes
}

// counts is how often each kind has struck.
func (p *faultPlan) counts() map[string]int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.struck)
}

// has reports whether there is any fault of a kind.
func (p *faultPlan) has(kind string) bool {
	return slices.ContainsFunc(p.faults, func(f Fault) bool { return f.Kind == kind })
}
