// Package foreign reads the sessions of other Telegram clients: Telethon,
// Pyrogram and its forks, GramJS, MTKruto, gotd and tdl, Telegram Desktop. It
// only parses, and takes everything it is given for hostile: memory is bounded
// by the size of the input, and nothing is written or sent.
//
// A session is as good as a password. Whoever goes on with an imported one must
// not use it in its own client any more: when Telegram sees one auth key come
// from two places it destroys it (AUTH_KEY_DUPLICATED).
package foreign

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/telegram"
)

// Errors of this package are wrapped by those that its functions return. None
// of them shows any part of the input.
var (
	// ErrUnknown: it looks like no session that this package can read.
	ErrUnknown = errors.New("no session of a client that is known here")
	// ErrDamaged: it looks like one, but cannot be one.
	ErrDamaged = errors.New("session is damaged")
	// ErrEmpty: nobody is signed in with it.
	ErrEmpty = errors.New("nobody is signed in with this session")
	// ErrPasscode: a passcode is needed and none was given, or it is wrong.
	ErrPasscode = errors.New("wrong passcode")
	// ErrTooOld: a folder of Telegram Desktop before version 2.0.
	ErrTooOld = errors.New("this is a Telegram Desktop folder of before version 2.0; open it with a newer Telegram Desktop once")
	// ErrInUse: its client has it open, or was killed before it had written everything.
	ErrInUse = errors.New("session is being written to; end the program that uses it, properly")
)

// An Environment is one of the two Telegrams: they have different accounts.
type Environment int

// Formats that do not say which one they are of, nor name an address by which
// it could be known, leave it Unknown.
const (
	Unknown Environment = iota
	Production
	Test
)

// String names the environment.
func (e Environment) String() string {
	switch e {
	case Production:
		return "production"
	case Test:
		return "test"
	case Unknown:
		return "unknown"
	default:
		return strconv.Itoa(int(e))
	}
}

// A Session is what another client knows of one account. Its keys print as
// [redacted], and its peers without their access hashes.
type Session struct {
	Client      string // whose form it is: "Telethon"
	Name        string // what its client calls it, "" if it has only one
	DC          int    // home DC
	Address     string // of the home DC as host:port, "" if not said
	Environment Environment
	// Keys are the permanent auth keys by DC: that of the home DC, and those of
	// DCs where the account is signed in as a guest.
	Keys   map[int]*crypto.AuthKey
	UserID int64 // 0 if not said
	Bot    bool  // false if not said
	// Peers are chats with their access hashes, valid for this account only.
	Peers []telegram.Peer
}

// maxDC is the greatest id of a DC; beyond it are the marks of test servers.
const maxDC = 9999

// newSession is a session with one key. A key of zeros, as of sessions that
// were never signed in, is ErrEmpty.
func newSession(client string, dc int, key []byte) (Session, error) {
	s := Session{Client: client, DC: dc, Keys: map[int]*crypto.AuthKey{}}
	return s, s.addKey(dc, key)
}

func (s *Session) addKey(dc int, key []byte) error {
	switch {
	case dc < 1 || dc > maxDC:
		return fmt.Errorf("%s: %w: DC %d", s.Client, ErrDamaged, dc)
	case len(key) == 0:
		return fmt.Errorf("%s: %w", s.Client, ErrEmpty)
	case len(key) != crypto.AuthKeySize:
		return fmt.Errorf("%s: %w: auth key of %d bytes", s.Client, ErrDamaged, len(key))
	}
	value := [crypto.AuthKeySize]byte(key)
	if value == [crypto.AuthKeySize]byte{} {
		return fmt.Errorf("%s: %w", s.Client, ErrEmpty)
	}
	s.Keys[dc] = crypto.NewAuthKey(value)
	return nil
}

// setAddress takes the address of the home DC, and the environment from it if
// that is not known otherwise.
func (s *Session) setAddress(host string, port int) {
	if host == "" || port < 1 || port > 65535 {
		return
	}
	s.Address = net.JoinHostPort(host, strconv.Itoa(port))
	if s.Environment == Unknown {
		s.Environment = environmentOf(host)
	}
}

// setTest takes what the session says of its environment.
func (s *Session) setTest(test bool) {
	s.Environment = Production
	if test {
		s.Environment = Test
	}
}

// testAddresses are those of the test DCs; see core.telegram.org/api/datacenter.
var testAddresses = map[string]bool{
	"149.154.175.10": true, "149.154.167.40": true, "149.154.175.117": true,
	"2001:b28:f23d:f001::e": true, "2001:67c:4e8:f002::e": true, "2001:b28:f23d:f003::e": true,
}

// networks are those that Telegram announces its DCs from.
var networks = []netip.Prefix{
	netip.MustParsePrefix("149.154.160.0/20"), netip.MustParsePrefix("91.108.4.0/22"), netip.MustParsePrefix("91.108.8.0/21"),
	netip.MustParsePrefix("91.108.16.0/21"), netip.MustParsePrefix("91.108.56.0/22"), netip.MustParsePrefix("95.161.64.0/20"),
	netip.MustParsePrefix("91.105.192.0/23"), netip.MustParsePrefix("2001:67c:4e8::/48"), netip.MustParsePrefix("2001:b28:f23c::/46"),
}

// environmentOf tells the environment by an address. Others, such as those of
// servers of one's own, tell nothing.
func environmentOf(host string) Environment {
	a, err := netip.ParseAddr(host)
	if err != nil {
		return Unknown
	}
	if testAddresses[a.String()] {
		return Test
	}
	for _, n := range networks {
		if n.Contains(a) {
			return Production
		}
	}
	return Unknown
}

// addPeer takes a chat by its marked id. One whose id or hash is of no use is left out.
func (s *Session) addPeer(marked, hash int64, username, title string) {
	p, err := telegram.PeerFromMarkedID(marked)
	if err != nil || hash == 0 && p.Kind != telegram.PeerChat {
		return
	}
	p.AccessHash, p.Username, p.Title = hash, username, title
	s.Peers = append(s.Peers, p)
}

// of says whose session an error is about.
func of(client string, err error) error { return fmt.Errorf("%s: %w", client, err) }

// String names the session for people: Telethon session at DC 2.
func (s Session) String() string {
	text := s.Client + " session"
	if s.Name != "" {
		text += " " + strconv.Quote(s.Name)
	}
	if s.UserID != 0 {
		text += fmt.Sprintf(" of user %d", s.UserID)
	}
	return text + fmt.Sprintf(" at DC %d", s.DC)
}
