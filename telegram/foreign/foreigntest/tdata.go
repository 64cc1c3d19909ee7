package foreigntest

import (
	"crypto/aes"
	"crypto/md5"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"testing/fstest"

	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/telegram/foreign"
)

// Tdata is a folder of Telegram Desktop with these accounts, by path. Its
// local key and salt are made of the numbers from 1 on: it protects nothing.
func Tdata(passcode string, sessions ...foreign.Session) fstest.MapFS {
	local, salt := counting[[crypto.AuthKeySize]byte](), counting[[32]byte]()
	localKey := crypto.NewAuthKey(local)
	info := be32(len(sessions))
	files := fstest.MapFS{}
	for i, s := range sessions {
		info = append(info, be32(i)...)
		name := dataName(i)
		files[name+"s"] = wrap(qba(sealLocal(append(be32(0x4b), qba(mtp(s))...), localKey)))
		config := append(be32(1), be32(int(bit(s.Environment == foreign.Test)))...)
		files[name+"/configs"] = wrap(qba(sealLocal(qba(config), localKey)))
	}
	info = append(info, be32(0)...)
	keys := append(qba(salt[:]), qba(sealLocal(local[:], passcodeKey(passcode, salt[:])))...)
	files["key_datas"] = wrap(append(keys, qba(sealLocal(info, localKey))...))
	return files
}

// counting is an array of the numbers from 1 on.
func counting[T [32]byte | [crypto.AuthKeySize]byte]() (a T) {
	for i := range len(a) {
		a[i] = byte(i + 1)
	}
	return a
}

func mtp(s foreign.Session) []byte {
	b := append(be32(-1), be32(-1)...)
	b = binary.BigEndian.AppendUint64(b, uint64(s.UserID))
	b = append(append(b, be32(s.DC)...), be32(len(s.Keys))...)
	for dc, k := range s.Keys {
		value := k.Bytes()
		b = append(append(b, be32(dc)...), value[:]...)
	}
	return append(b, be32(0)...)
}

func dataName(i int) string {
	name := "data"
	if i > 0 {
		name = fmt.Sprintf("data#%d", i+1)
	}
	sum := md5.Sum([]byte(name))
	text := ""
	for _, c := range sum[:8] {
		text += fmt.Sprintf("%X%X", c&15, c>>4)
	}
	return text
}

func passcodeKey(passcode string, salt []byte) *crypto.AuthKey {
	rounds := 1
	if passcode != "" {
		rounds = 100_000
	}
	h := sha512.Sum512([]byte(string(salt) + passcode + string(salt)))
	key, err := pbkdf2.Key(sha512.New, string(h[:]), salt, rounds, crypto.AuthKeySize)
	if err != nil {
		panic(err) // nothing in it can fail
	}
	return crypto.NewAuthKey([crypto.AuthKeySize]byte(key))
}

func be32(n int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(int32(n))) }

func qba(b []byte) []byte { return append(be32(len(b)), b...) }

func wrap(data []byte) *fstest.MapFile {
	version := binary.LittleEndian.AppendUint32(nil, 5008003)
	sum := md5.Sum([]byte(string(data) + string(binary.LittleEndian.AppendUint32(nil, uint32(len(data)))) + string(version) + "TDF$"))
	b := append(append([]byte("TDF$"), version...), data...)
	return &fstest.MapFile{Data: append(b, sum[:]...), Mode: 0o600}
}

func sealLocal(data []byte, key *crypto.AuthKey) []byte {
	b := append(binary.LittleEndian.AppendUint32(nil, uint32(len(data)+4)), data...)
	b = append(b, make([]byte, -len(b)&15)...)
	sum := sha1.Sum(b)
	aesKey, iv := key.MessageKeysV1(sum[:16], crypto.FromServer)
	return append(sum[:16:16], encryptIGE(b, aesKey[:], iv[:])...)
}

// encryptIGE is written from the definition: y_i = E(x_i ^ y_i-1) ^ x_i-1.
func encryptIGE(src, key, iv []byte) []byte {
	c, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // the key has 32 bytes
	}
	y, x := iv[:16], iv[16:32]
	var dst []byte
	for ; len(src) > 0; src = src[16:] {
		block := make([]byte, 16)
		subtle.XORBytes(block, src[:16], y)
		c.Encrypt(block, block)
		subtle.XORBytes(block, block, x)
		dst = append(dst, block...)
		y, x = block, src[:16]
	}
	return dst
}
