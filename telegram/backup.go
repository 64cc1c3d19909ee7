package telegram

import (
	"bytes"
	"cmp"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/mtproto/transport"
	"github.com/tghaul/haul/tl"
)

// The backup configuration: when no address of a DC answers any more, a TXT
// record in the DNS names others. It is signed with RSA, small, and short-lived.

// A BackupFunc fetches the strings of the TXT records of a domain. It may be
// called concurrently.
type BackupFunc func(ctx context.Context, domain string) ([]string, error)

// errBackup is wrapped by errors about a backup configuration that cannot be used.
var errBackup = errors.New("telegram: backup configuration is invalid")

const (
	backupBytes = 256 // of the record, and of the RSA key
	backupSize  = 208 // of the plain text, besides its hash
	maxBackups  = 64  // records that are looked at; there are two
)

// Ids of constructors that the API's schema does not have.
const (
	configSimpleID = 0x5a592a6c
	accessRuleID   = 0x4679b65f
	ipPortID       = 0xd433ad73
	ipPortSecretID = 0x37982646
)

// A backupRule is where a DC can be reached, for accounts with some phone numbers.
type backupRule struct {
	phones    string
	dc        int
	endpoints []backupEndpoint
}

type backupEndpoint struct {
	address string
	secret  transport.Secret
}

// openBackup decodes what the DNS has, and checks that it is genuine and not expired.
func openBackup(txt []string, key *crypto.PublicKey, now time.Time) ([]backupRule, error) {
	sealed, err := joinBackup(txt)
	if err != nil {
		return nil, err
	}
	plain, err := decryptBackup(sealed, key)
	if err != nil {
		return nil, err
	}
	return parseBackup(plain, now)
}

// joinBackup puts the strings together, the longer one first.
func joinBackup(txt []string) ([]byte, error) {
	var pieces []string
	for _, s := range txt[:min(len(txt), maxBackups)] {
		s = strings.Map(func(r rune) rune {
			if isAlnum(r) || r == '+' || r == '/' || r == '=' {
				return r
			}
			return -1
		}, s)
		pieces = append(pieces, s)
	}
	slices.SortStableFunc(pieces, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	sealed, err := base64.StdEncoding.DecodeString(strings.Join(pieces, ""))
	if err != nil || len(sealed) != backupBytes {
		return nil, fmt.Errorf("%w: %d strings are no record of %d bytes", errBackup, len(txt), backupBytes)
	}
	return sealed, nil
}

// decryptBackup undoes the signature, then the encryption whose key it shows,
// and checks the hash.
func decryptBackup(sealed []byte, key *crypto.PublicKey) ([]byte, error) {
	signed := new(big.Int).SetBytes(sealed)
	if key.N.BitLen() != 8*backupBytes || signed.Cmp(key.N) >= 0 {
		return nil, fmt.Errorf("%w: not signed with this key", errBackup)
	}
	y := make([]byte, backupBytes)
	signed.Exp(signed, big.NewInt(int64(key.E)), key.N).FillBytes(y)
	block, err := aes.NewCipher(y[:32])
	if err != nil {
		return nil, err
	}
	plain := y[32:]
	cipher.NewCBCDecrypter(block, bytes.Clone(y[16:32])).CryptBlocks(plain, plain)
	sum := sha256.Sum256(plain[:backupSize])
	if subtle.ConstantTimeCompare(sum[:16], plain[backupSize:]) != 1 {
		return nil, fmt.Errorf("%w: not signed with this key", errBackup)
	}
	return plain[:backupSize], nil
}

// parseBackup reads a length, which counts itself, and help.configSimple. Its
// vectors are bare, and their items boxed.
func parseBackup(plain []byte, now time.Time) ([]backupRule, error) {
	n := int(tl.NewDecoder(plain).Int())
	if n < 4 || n > len(plain) {
		return nil, fmt.Errorf("%w: length %d", errBackup, n)
	}
	d := tl.NewDecoder(plain[4:n])
	d.Expect(configSimpleID, "help.configSimple")
	date, expires := int64(d.Int()), int64(d.Int())
	var rules []backupRule
	for range d.Count(16) {
		d.Expect(accessRuleID, "accessPointRule")
		r := backupRule{phones: d.String(), dc: int(d.Int())}
		for range d.Count(12) {
			if e, ok := readBackupEndpoint(d); ok {
				r.endpoints = append(r.endpoints, e)
			}
		}
		if d.Err() == nil && r.dc >= 1 && r.dc <= maxDCID {
			rules = append(rules, r)
		}
	}
	switch {
	case d.Err() != nil:
		return nil, fmt.Errorf("%w: %w", errBackup, d.Err())
	case date > expires || now.Unix() >= expires:
		return nil, fmt.Errorf("%w: it expired at %v", errBackup, time.Unix(expires, 0).UTC())
	}
	return rules, nil
}

// readBackupEndpoint reads an ipPort or ipPortSecret, and reports whether this
// client can use it.
func readBackupEndpoint(d *tl.Decoder) (backupEndpoint, bool) {
	id := d.ID()
	ip, port := d.Nat(), d.Int()
	var secret transport.Secret
	usable := port >= 1 && port <= 65535
	switch id {
	case ipPortID:
	case ipPortSecretID:
		var err error
		secret, err = transport.DecodeSecret(d.Blob())
		usable = usable && err == nil
	default:
		d.Fail(&tl.UnknownConstructorError{ID: id})
	}
	addr := netip.AddrFrom4([4]byte{byte(ip >> 24), byte(ip >> 16), byte(ip >> 8), byte(ip)})
	return backupEndpoint{net.JoinHostPort(addr.String(), strconv.Itoa(int(port))), secret}, usable && d.Err() == nil
}

// meant reports whether the rule is for a phone number; "" is an unknown one,
// for which all are. The rules are +prefix and -prefix, with commas between them.
func (r *backupRule) meant(phone string) bool {
	if r.phones == "" || phone == "" {
		return true
	}
	found := false
	for rule := range strings.SplitSeq(r.phones, ",") {
		switch {
		case rule == "", rule[0] == '+' && strings.HasPrefix(phone, rule[1:]):
			found = true
		case rule[0] == '-' && strings.HasPrefix(phone, rule[1:]):
			return false
		}
	}
	return found
}

// backupEndpoints are those of the rules that are meant.
func backupEndpoints(rules []backupRule, phone string, test bool) (list []mtproto.Endpoint) {
	for _, r := range rules {
		if !r.meant(phone) {
			continue
		}
		for _, e := range r.endpoints {
			list = append(list, mtproto.Endpoint{DC: r.dc, Test: test, Address: e.address, Secret: e.secret})
		}
	}
	return list
}
