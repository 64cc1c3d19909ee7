package crypto

import (
	"crypto/sha1"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// bindPrefix is what stands before the inner data of a bind message: 16 random
// bytes, msg_id, seqno and length.
const bindPrefix = 32

// SealBindMessage makes encrypted_message of auth.bindTempAuthKey: inner is
// the bare bind_auth_key_inner with its id, msgID the id of the very message
// that will carry the call. See core.telegram.org/method/auth.bindTempAuthKey.
func SealBindMessage(perm *AuthKey, msgID int64, inner []byte, rnd io.Reader) ([]byte, error) {
	n := bindPrefix + len(inner)
	out := make([]byte, PacketHeader+n+(-n&15))
	plaintext := out[PacketHeader:]
	if _, err := io.ReadFull(rnd, plaintext[:16]); err != nil {
		return nil, fmt.Errorf("crypto: bind message: %w", err)
	}
	binary.LittleEndian.PutUint64(plaintext[16:], uint64(msgID))
	binary.LittleEndian.PutUint32(plaintext[24:], 0)
	binary.LittleEndian.PutUint32(plaintext[28:], uint32(len(inner)))
	copy(plaintext[bindPrefix:], inner)
	if _, err := io.ReadFull(rnd, plaintext[n:]); err != nil {
		return nil, fmt.Errorf("crypto: bind message: %w", err)
	}
	sum := sha1.Sum(plaintext[:n])
	binary.LittleEndian.PutUint64(out, uint64(perm.id))
	copy(out[8:], sum[4:20])
	key, iv := perm.MessageKeysV1(sum[4:20], FromClient)
	IGEEncrypt(plaintext, plaintext, key[:], iv[:])
	return out, nil
}

var errBind = errors.New("crypto: bind message is not of this key, or was built wrong")

// OpenBindMessage is the server's side of SealBindMessage. inner aliases nothing.
func OpenBindMessage(perm *AuthKey, message []byte) (msgID int64, inner []byte, err error) {
	if len(message) < PacketHeader+bindPrefix || (len(message)-PacketHeader)%16 != 0 ||
		int64(binary.LittleEndian.Uint64(message)) != perm.id {
		return 0, nil, errBind
	}
	msgKey := message[8:PacketHeader]
	key, iv := perm.MessageKeysV1(msgKey, FromClient)
	plaintext := make([]byte, len(message)-PacketHeader)
	IGEDecrypt(plaintext, message[PacketHeader:], key[:], iv[:])
	n := int(int32(binary.LittleEndian.Uint32(plaintext[28:])))
	if n < 0 || n > len(plaintext)-bindPrefix || len(plaintext)-bindPrefix-n > 15 {
		return 0, nil, errBind
	}
	sum := sha1.Sum(plaintext[:bindPrefix+n])
	if subtle.ConstantTimeCompare(sum[4:20], msgKey) != 1 || binary.LittleEndian.Uint32(plaintext[24:]) != 0 {
		return 0, nil, errBind
	}
	return int64(binary.LittleEndian.Uint64(plaintext[16:])), plaintext[bindPrefix : bindPrefix+n], nil
}
