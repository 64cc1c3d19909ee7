package foreign

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strconv"
)

// A gotdFile is the JSON of gotd's session storage, version 1.
type gotdFile struct {
	Version int
	Data    struct {
		Config struct {
			TestMode bool
			Date     int // 0 before the first answer of the server
			ThisDC   int
		}
		DC        int
		Addr      string
		AuthKey   []byte
		AuthKeyID []byte // as on the wire
	}
}

// maxNamespaces bounds the accounts of a file of tdl.
const maxNamespaces = 1000

// ParseJSON reads a session of gotd, or the key-value file of tdl, which has
// one for each namespace. Errors: ErrUnknown, ErrDamaged, ErrEmpty.
func ParseJSON(b []byte) ([]Session, error) {
	var top map[string]json.RawMessage
	if err := json.Unmarshal(b, &top); err != nil {
		return nil, ErrUnknown
	}
	if _, ok := top["Version"]; ok {
		s, err := parseGotd(b)
		if err != nil {
			return nil, err
		}
		return []Session{s}, nil
	}
	return parseTDL(top)
}

func parseGotd(b []byte) (Session, error) {
	var f gotdFile
	if err := json.Unmarshal(b, &f); err != nil {
		return Session{}, fmt.Errorf("gotd: %w: not the JSON of a session", ErrDamaged)
	}
	if f.Version != 1 {
		return Session{}, fmt.Errorf("gotd: session of version %d, known here is 1: %w", f.Version, ErrUnknown)
	}
	s, err := newSession("gotd", f.Data.DC, f.Data.AuthKey)
	if err != nil {
		return Session{}, err
	}
	id := binary.LittleEndian.AppendUint64(nil, uint64(s.Keys[s.DC].ID()))
	if len(f.Data.AuthKeyID) > 0 && !bytes.Equal(id, f.Data.AuthKeyID) {
		return Session{}, fmt.Errorf("gotd: %w: the auth key does not belong to its id", ErrDamaged)
	}
	if f.Data.Config.TestMode || f.Data.Config.Date != 0 {
		s.setTest(f.Data.Config.TestMode)
	}
	if host, port, err := net.SplitHostPort(f.Data.Addr); err == nil {
		n, _ := strconv.Atoi(port)
		s.setAddress(host, n)
	}
	return s, nil
}

// parseTDL reads {"namespace": {"session": base64 of gotd's JSON, …}, …}.
func parseTDL(top map[string]json.RawMessage) ([]Session, error) {
	if len(top) > maxNamespaces {
		return nil, ErrUnknown
	}
	var list []Session
	for name, raw := range top {
		var pairs map[string][]byte
		if err := json.Unmarshal(raw, &pairs); err != nil {
			return nil, ErrUnknown
		}
		if len(pairs["session"]) == 0 {
			continue
		}
		s, err := parseGotd(pairs["session"])
		if err != nil {
			return nil, fmt.Errorf("tdl, namespace %q: %w", name, err)
		}
		s.Client, s.Name = "tdl", name
		list = append(list, s)
	}
	if len(list) == 0 {
		return nil, ErrUnknown
	}
	slices.SortFunc(list, func(a, b Session) int { return bytes.Compare([]byte(a.Name), []byte(b.Name)) })
	return list, nil
}
