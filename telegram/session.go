package telegram

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/mtproto/crypto"
)

// sessionVersion is the version of the JSON form of a Session.
const sessionVersion = 1

// A Session is everything of an account that has to survive a restart. It
// holds its auth keys, which are worth as much as a password: marshalled to
// JSON it shows them, printed or logged it does not.
type Session struct {
	Version int  `json:"version"`
	Test    bool `json:"test"` // of a test environment
	HomeDC  int  `json:"home_dc"`
	// User is the account, nil while nobody is signed in.
	User *User `json:"user,omitempty"`
	// Ended is why the server has ended the login, "" if it has not.
	Ended AccountState `json:"ended,omitempty"`
	// DCs are the data centers that keys were made with, by DC id.
	DCs map[int]DCSession `json:"dcs,omitempty"`
	// Pending is a login that is not finished: nil if there is none.
	Pending *PendingLogin `json:"pending,omitempty"`
	// FutureTokens spare later logins their code, the newest last, 20 at most.
	// They outlive the login that they come from.
	FutureTokens []SecretBytes `json:"future_tokens,omitempty"`
	// Peers are the chats that the account has met, with their access hashes.
	Peers []Peer `json:"peers,omitempty"`
	// Takeout is the takeout session that is not finished: nil if there is none.
	Takeout *Takeout `json:"takeout,omitempty"`
	// Servers is what was learned of the servers' addresses, nil for nothing.
	Servers *Servers `json:"servers,omitempty"`
	// Waits are the flood waits that were not over: a restart does not end them.
	Waits []FloodWait `json:"waits,omitempty"`
}

// A FloodWait is a time in which a method must not be called at a DC.
type FloodWait struct {
	DC     int       `json:"dc"`
	Method string    `json:"method"`
	Type   string    `json:"type"` // what the server said: "FLOOD_WAIT"
	Until  time.Time `json:"until"`
}

// A DCSession is what is kept of one DC.
type DCSession struct {
	Key        SecretBytes          `json:"key"` // permanent auth key, 256 bytes
	Salt       int64                `json:"salt"`
	Salts      []mtproto.FutureSalt `json:"salts,omitempty"`
	TimeOffset time.Duration        `json:"time_offset"` // server time minus local time, ns
	Created    time.Time            `json:"created"`     // of the key
	// Authorized says that the account is signed in with this key.
	Authorized bool `json:"authorized,omitempty"`
	// ImportedAt is when the authorisation was brought here from the home DC;
	// zero at the home DC.
	ImportedAt time.Time `json:"imported_at,omitzero"`
}

// SecretBytes are printed as "(secret)", whatever the verb.
type SecretBytes []byte

// Format prints "(secret)".
func (SecretBytes) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("(secret)")) }

// LogValue logs "(secret)".
func (SecretBytes) LogValue() slog.Value { return slog.StringValue("(secret)") }

// Format prints what is no secret of the session, whatever the verb.
func (s Session) Format(f fmt.State, _ rune) {
	var user int64
	if s.User != nil {
		user = s.User.ID
	}
	_, _ = fmt.Fprintf(f, "session of user %d at DC %d, %d keys, %d peers", user, s.HomeDC, len(s.DCs), len(s.Peers))
}

// LogValue logs what Format prints.
func (s Session) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(s)) }

// clone is a copy that shares nothing which changes.
func (s *Session) clone() *Session {
	c := *s
	c.DCs = maps.Clone(s.DCs)
	c.Peers = slices.Clone(s.Peers)
	c.Waits = slices.Clone(s.Waits)
	c.FutureTokens = slices.Clone(s.FutureTokens)
	// Servers and Takeout are replaced as a whole, never changed.
	if s.User != nil {
		u := *s.User
		c.User = &u
	}
	return &c
}

// ErrSession is wrapped by errors about a stored session that cannot be used.
var ErrSession = errors.New("telegram: unusable session")

// check reports what makes a loaded session unusable in this environment.
func (s *Session) check(d *Datacenters) error {
	switch {
	case s.Version != sessionVersion:
		return fmt.Errorf("%w: version %d, this program knows %d", ErrSession, s.Version, sessionVersion)
	case s.Test != d.Test:
		return fmt.Errorf("%w: it belongs to another environment (test: %v) than the datacenters (test: %v)", ErrSession, s.Test, d.Test)
	case s.HomeDC < 1 || s.HomeDC > maxDCID:
		return fmt.Errorf("%w: home DC %d", ErrSession, s.HomeDC)
	}
	for id, dc := range s.DCs {
		if len(dc.Key) != 256 {
			return fmt.Errorf("%w: key of DC %d has %d bytes, want 256", ErrSession, id, len(dc.Key))
		}
	}
	return nil
}

// keyState is the DC's key in the form that sessions take.
func (d DCSession) keyState() mtproto.KeyState {
	if len(d.Key) != 256 {
		return mtproto.KeyState{}
	}
	return mtproto.KeyState{
		Key:  crypto.NewAuthKey([256]byte(d.Key)),
		Salt: d.Salt, Salts: d.Salts, TimeOffset: d.TimeOffset, Created: d.Created,
	}
}

// withKey is d after a session reported its key. An authorisation belongs to a
// key: with another one it is gone.
func (d DCSession) withKey(k mtproto.KeyState) DCSession {
	key := k.Key.Bytes()
	if string(d.Key) != string(key[:]) {
		d.Authorized, d.ImportedAt = false, time.Time{}
	}
	d.Key, d.Salt, d.Salts, d.TimeOffset, d.Created = key[:], k.Salt, slices.Clone(k.Salts), k.TimeOffset, k.Created
	return d
}

// A SessionStore keeps the session of one account.
//
// Load returns nil and no error if there is none. Save replaces what is stored
// as a whole: after a crash either the old or the new session is there. The
// session given to Save is the store's own; it is not changed afterwards. A
// Client calls Save from one goroutine at a time.
type SessionStore interface {
	Load() (*Session, error)
	Save(*Session) error
}

// A MemorySession is a SessionStore that forgets everything with the process.
// The zero value is empty and ready. It may be used concurrently.
type MemorySession struct {
	mu   sync.Mutex
	data []byte
}

// Load returns a copy of what was saved last, or nil.
func (m *MemorySession) Load() (*Session, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.data == nil {
		return nil, nil
	}
	s := new(Session)
	if err := json.Unmarshal(m.data, s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSession, err)
	}
	return s, nil
}

// Save keeps a copy of s. It goes through the same JSON form as stores on disk.
func (m *MemorySession) Save(s *Session) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.data = data
	return nil
}
