package foreign

import (
	"bytes"
	"crypto/md5"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"github.com/tghaul/haul/mtproto/crypto"
)

// The folder tdata of Telegram Desktop, since version 2.0. Its numbers are
// big-endian, as Qt writes them, but for those of file wrappers and of the
// local encryption.
//
//	key_datas        a key, sealed with the passcode, and the list of accounts sealed with that key
//	D877F783D5D3EF8Cs    user and auth keys of the first account, sealed with that key
//	D877F783D5D3EF8C/configs    its environment

const (
	desktop = "Telegram Desktop"

	// maxTdataFile bounds each of the files read, in bytes. Real ones have a few KiB.
	maxTdataFile = 4 << 20
	maxAccounts  = 64 // Telegram Desktop has at most 6
	maxTdataKeys = 64 // of an account

	passcodeRounds = 100_000
	blockMTP       = 0x4b // the block of a data file that holds the keys
	dcShift        = 10_000
)

// errFile marks what cannot be a file of Telegram Desktop.
var errFile = of(desktop, ErrDamaged)

// ReadTdata reads all accounts of a folder of Telegram Desktop: of tdata
// itself, or of the one that it lies in. passcode is the local one, "" if
// none is set. An account that nobody is signed in with is left out.
//
// Errors: those of fsys, ErrUnknown, ErrDamaged, ErrPasscode (no passcode was
// given and one is needed, or it is wrong), ErrTooOld, ErrEmpty.
func ReadTdata(fsys fs.FS, passcode string) ([]Session, error) {
	dir, err := findTdata(fsys)
	if err != nil {
		return nil, err
	}
	t := tdata{fsys: fsys, dir: dir}
	indexes, err := t.unlock(passcode)
	if err != nil {
		return nil, err
	}
	var list []Session
	for _, i := range indexes {
		s, err := t.account(i)
		if errors.Is(err, ErrEmpty) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("account %d: %w", i+1, err)
		}
		list = append(list, s)
	}
	if len(list) == 0 {
		return nil, of(desktop, ErrEmpty)
	}
	return list, nil
}

// findTdata is the folder with the keys.
func findTdata(fsys fs.FS) (string, error) {
	old := false
	for _, dir := range []string{".", "tdata"} {
		entries, err := fs.ReadDir(fsys, dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		for _, e := range entries {
			switch e.Name() {
			case "key_datas", "key_data0", "key_data1":
				return dir, nil
			case dataName(0):
				old = true
			}
		}
	}
	if old {
		return "", ErrTooOld
	}
	return "", fmt.Errorf("%w: a folder without the file key_datas of Telegram Desktop", ErrUnknown)
}

// tdata is a folder under way. key is set by unlock.
type tdata struct {
	fsys fs.FS
	dir  string
	key  *crypto.AuthKey // of this folder's encryption; only in form an auth key
}

// unlock opens the folder's key with the passcode and returns the accounts.
func (t *tdata) unlock(passcode string) ([]int, error) {
	r, err := t.open("key_data")
	if err != nil {
		return nil, err
	}
	salt, sealedKey, sealedInfo := r.bytes(), r.bytes(), r.bytes()
	if r.bad {
		return nil, fmt.Errorf("%w: key_data", errFile)
	}
	outer, err := passcodeKey(passcode, salt)
	if err != nil {
		return nil, err
	}
	key, err := decryptLocal(sealedKey, outer)
	switch {
	case err != nil && passcode == "":
		return nil, fmt.Errorf("%w: this folder is locked with one", ErrPasscode)
	case err != nil:
		return nil, ErrPasscode
	case len(key) != crypto.AuthKeySize:
		return nil, fmt.Errorf("%w: a local key of %d bytes", errFile, len(key))
	}
	t.key = crypto.NewAuthKey([crypto.AuthKeySize]byte(key))
	info, err := decryptLocal(sealedInfo, t.key)
	if err != nil {
		return nil, err
	}
	return parseIndexes(info)
}

// passcodeKey stretches the passcode.
func passcodeKey(passcode string, salt []byte) (*crypto.AuthKey, error) {
	rounds := 1
	if passcode != "" {
		rounds = passcodeRounds
	}
	h := sha512.New()
	h.Write(salt)
	h.Write([]byte(passcode))
	h.Write(salt)
	key, err := pbkdf2.Key(sha512.New, string(h.Sum(nil)), salt, rounds, crypto.AuthKeySize)
	if err != nil {
		return nil, err
	}
	return crypto.NewAuthKey([crypto.AuthKeySize]byte(key)), nil
}

func parseIndexes(info []byte) ([]int, error) {
	r := &qtReader{b: info}
	count := int(r.int32())
	if r.bad || count < 0 || count > maxAccounts {
		return nil, fmt.Errorf("%w: %d accounts", errFile, count)
	}
	var list []int
	for range count {
		i := int(r.int32())
		if r.bad || i < 0 || i >= maxAccounts {
			return nil, fmt.Errorf("%w: account %d", errFile, i)
		}
		list = append(list, i)
	}
	return list, nil
}

// dataName is what account i is called in the folder: the hash of its name,
// each byte with its halves exchanged.
func dataName(i int) string {
	name := "data"
	if i > 0 {
		name = fmt.Sprintf("data#%d", i+1)
	}
	return hashName(name)
}

func hashName(name string) string {
	const digits = "0123456789ABCDEF"
	sum := md5.Sum([]byte(name))
	var b []byte
	for _, c := range sum[:8] {
		b = append(b, digits[c&15], digits[c>>4])
	}
	return string(b)
}

// account reads the keys of account i.
func (t *tdata) account(i int) (Session, error) {
	r, err := t.open(dataName(i))
	if err != nil {
		return Session{}, err
	}
	data, err := decryptLocal(r.bytes(), t.key)
	if err != nil {
		return Session{}, err
	}
	r = &qtReader{b: data}
	if block := r.int32(); block != blockMTP {
		return Session{}, fmt.Errorf("%w: it begins with block %d", errFile, block)
	}
	s, err := parseMTP(r.bytes())
	if err != nil {
		return s, err
	}
	s.Name = fmt.Sprint(i + 1)
	test, err := t.test(dataName(i))
	s.setTest(test || s.Environment == Test)
	return s, err
}

// parseMTP reads user, home DC and auth keys. A second list, of keys to be
// destroyed, follows and does not matter.
func parseMTP(b []byte) (Session, error) {
	r := &qtReader{b: b}
	user, home := int64(r.int32()), int(r.int32())
	if user == -1 && home == -1 { // the form for ids of 64 bits
		user, home = r.int64(), int(r.int32())
	}
	count := int(r.int32())
	s := Session{Client: desktop, UserID: user, Keys: map[int]*crypto.AuthKey{}}
	if r.bad || count < 0 || count > maxTdataKeys || user < 0 {
		return s, fmt.Errorf("%w: %d keys of user %d", errFile, count, user)
	}
	for range count {
		dc, key := int(r.int32()), r.take(crypto.AuthKeySize)
		if r.bad || dc < 1 {
			return s, fmt.Errorf("%w: its list of keys", errFile)
		}
		if dc%dcShift == 0 {
			continue // of no DC
		}
		if err := s.addKey(dc%dcShift, key); err != nil {
			return s, err
		}
	}
	s.DC = home % dcShift
	if user == 0 || s.Keys[s.DC] == nil {
		return s, of(desktop, ErrEmpty)
	}
	return s, nil
}

// test reads the environment of an account from its configuration; without
// one it is the production environment.
func (t *tdata) test(account string) (bool, error) {
	r, err := t.open(path.Join(account, "config"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	data, err := decryptLocal(r.bytes(), t.key)
	if err != nil {
		return false, err
	}
	r = &qtReader{b: data}
	r = &qtReader{b: r.bytes()}
	version, environment := r.int32(), r.int32()
	if r.bad || version != 1 {
		return false, nil // of a later version; the key tells when it is used
	}
	return environment == 1, nil
}

// open reads a file of the folder: NAMEs, or of an interrupted save NAME0 or NAME1.
func (t *tdata) open(name string) (*qtReader, error) {
	var failed error
	for _, suffix := range []string{"s", "0", "1"} {
		b, err := readFile(t.fsys, path.Join(t.dir, name+suffix))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			b, err = unwrap(b)
		}
		if err == nil {
			return &qtReader{b: b}, nil
		}
		failed = fmt.Errorf("%s: %w", name+suffix, err)
	}
	if failed == nil {
		failed = fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return nil, failed
}

// readFile reads a file of at most maxTdataFile bytes.
func readFile(fsys fs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	b, err := io.ReadAll(io.LimitReader(f, maxTdataFile+1))
	if err == nil && len(b) > maxTdataFile {
		err = fmt.Errorf("%w: too long", errFile)
	}
	return b, err
}

// unwrap takes the data out of a file: magic, version, data, MD5.
func unwrap(b []byte) ([]byte, error) {
	const magic = "TDF$"
	if len(b) < 8+md5.Size || string(b[:4]) != magic {
		return nil, errFile
	}
	version, data, want := b[4:8], b[8:len(b)-md5.Size], b[len(b)-md5.Size:]
	h := md5.New()
	h.Write(data)
	h.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(data))))
	h.Write(version)
	h.Write([]byte(magic))
	if !bytes.Equal(h.Sum(nil), want) {
		return nil, fmt.Errorf("%w: wrong checksum", errFile)
	}
	return data, nil
}

// decryptLocal opens what Telegram Desktop has sealed: msg_key, then length
// and data encrypted as by MTProto 1.0.
func decryptLocal(sealed []byte, key *crypto.AuthKey) ([]byte, error) {
	const msgKeySize, lengthSize = 16, 4
	if len(sealed) < 2*msgKeySize || len(sealed)%16 != 0 {
		return nil, fmt.Errorf("%w: encrypted data of %d bytes", errFile, len(sealed))
	}
	msgKey := sealed[:msgKeySize]
	body := key.DecryptV1(sealed[msgKeySize:], msgKey, crypto.FromServer)
	if sum := sha1.Sum(body); !bytes.Equal(sum[:msgKeySize], msgKey) {
		return nil, fmt.Errorf("%w: it is sealed with another key", errFile)
	}
	n := int64(binary.LittleEndian.Uint32(body))
	if n < lengthSize || n > int64(len(body)) {
		return nil, fmt.Errorf("%w: %d bytes of %d", errFile, n, len(body))
	}
	return body[lengthSize:n], nil
}

// A qtReader reads what Qt's QDataStream writes. After the first failure it
// is bad and returns zeros.
type qtReader struct {
	b   []byte
	bad bool
}

func (r *qtReader) take(n int) []byte {
	if r.bad || n < 0 || n > len(r.b) {
		r.bad = true
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *qtReader) int32() int32 {
	if b := r.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (r *qtReader) int64() int64 {
	if b := r.take(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

// bytes reads a byte array; null is an empty one.
func (r *qtReader) bytes() []byte {
	n := r.int32()
	if n == -1 {
		return nil
	}
	return r.take(int(n))
}
