package vault

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// A sealed file, sessions and backups alike; docs/formats.md describes it too:
//
//	magic and version, a line of text
//	length of the header, 2 bytes big-endian
//	header, JSON
//	first 8 bytes of the SHA-256 of all before
//	nonce, 12 bytes; AES-256-GCM of the content; all before the nonce is authenticated with it
//
// The SHA-256 keeps nothing out: it tells a damaged header from a wrong key.

const (
	sessionMagic = "haul session "
	backupMagic  = "haul backup "

	oldVersion    = 1 // of sessions only: no header, and the key is in the key file
	sealedVersion = 2
	sumSize       = 8
	maxHeader     = 4 << 10
	keySize       = 32
	checkSize     = 8
)

// A header says how the key of a sealed file is to be had.
type header struct {
	Way Way `json:"key"`
	// ID is the name of the key in the keyring.
	ID string `json:"id,omitempty"`
	// KDF makes the key of a passphrase.
	KDF *kdf `json:"kdf,omitempty"`
	// Check tells the right key from others before anything is opened.
	Check []byte `json:"check,omitempty"`
}

// A seal is a header with the key that it is about.
type seal struct {
	head header
	key  []byte
}

// fits says whether the seal has the key of a file with this header.
func (s seal) fits(h header) bool {
	return s.key != nil && bytes.Equal(s.head.Check, h.Check) && s.head.Way == h.Way
}

// newCheck is what header.Check of a key is.
func newCheck(key []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte("haul: is this the key"))
	return h.Sum(nil)[:checkSize]
}

// close seals plain.
func (s seal) close(magic string, plain []byte) ([]byte, error) {
	head, err := json.Marshal(s.head)
	if err != nil {
		return nil, err
	}
	b := fmt.Appendf(nil, "%s%d\n", magic, sealedVersion)
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(head))), head...)
	sum := sha256.Sum256(b)
	b = append(b, sum[:sumSize]...)
	a, err := gcm(s.key)
	if err != nil {
		return nil, err
	}
	return append(b, a.Seal(nil, nil, plain, b)...), nil
}

// A box is a sealed file that was taken apart.
type box struct {
	head   header
	before []byte // what is authenticated along with the content
	sealed []byte // nonce and content
}

// parseBox takes a file with this magic apart. Errors: ErrDamaged, ErrNewer.
func parseBox(magic string, b []byte) (box, error) {
	line, _, ok := bytes.Cut(b[:min(len(b), 64)], []byte("\n"))
	number, found := strings.CutPrefix(string(line), magic)
	version, err := strconv.ParseUint(number, 10, 16)
	start := len(line) + 1
	switch {
	case !ok || !found || err != nil:
		return box{}, ErrDamaged
	case version > sealedVersion:
		return box{}, fmt.Errorf("%w: version %d, known here is %d", ErrNewer, version, sealedVersion)
	case version == oldVersion && magic == sessionMagic:
		return box{header{Way: File}, b[:start], b[start:]}, nil
	case version != sealedVersion:
		return box{}, ErrDamaged
	}
	if len(b) < start+2 {
		return box{}, ErrDamaged
	}
	end := start + 2 + int(binary.BigEndian.Uint16(b[start:]))
	if end-start > maxHeader || len(b) < end+sumSize {
		return box{}, ErrDamaged
	}
	if sum := sha256.Sum256(b[:end]); !bytes.Equal(sum[:sumSize], b[end:end+sumSize]) {
		return box{}, ErrDamaged
	}
	x := box{before: b[:end+sumSize], sealed: b[end+sumSize:]}
	if err := json.Unmarshal(b[start+2:end], &x.head); err != nil {
		return box{}, ErrDamaged
	}
	return x, x.head.sound()
}

// open opens the box. Errors: ErrDamaged, for the key was found right before.
func (x box) open(key []byte) ([]byte, error) {
	a, err := gcm(key)
	if err != nil {
		return nil, err
	}
	plain, err := a.Open(nil, nil, x.sealed, x.before)
	if err != nil {
		return nil, ErrDamaged
	}
	return plain, nil
}

// right says whether key is the one of the header. Files of the old version
// do not tell.
func (h header) right(key []byte) bool { return h.Check == nil || hmac.Equal(newCheck(key), h.Check) }

func gcm(key []byte) (cipher.AEAD, error) {
	if len(key) != keySize {
		return nil, errors.New("vault: a key of the wrong size")
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}
