package dctest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// All secrets of the world are made from the seed, so that the cluster has to
// remember none of them, and none can be made up by who does not know it.

// mac is a keyed hash of a purpose and numbers.
func (w *world) mac(purpose string, numbers ...int64) []byte {
	h := hmac.New(sha256.New, binary.LittleEndian.AppendUint64([]byte("haul dctest "), w.cfg.Seed))
	h.Write([]byte(purpose))
	for _, n := range numbers {
		h.Write(binary.LittleEndian.AppendUint64(nil, uint64(n)))
	}
	return h.Sum(nil)
}

// accessHash of a thing for an account: it is worth nothing to others.
// See core.telegram.org/api/peers#access-hash.
func (w *world) accessHash(account, thing int64) int64 {
	return int64(binary.LittleEndian.Uint64(w.mac("access", account, thing)))
}

// A file reference is a version, the time in milliseconds when it was made, how
// often the references of the file had expired before, and a MAC of all that
// with account and file.
const (
	referenceVersion = 1
	referenceHead    = 1 + 8 + 4
	referenceMAC     = 16
)

// reference makes a file reference. See core.telegram.org/api/file-references.
func (w *world) reference(account, file int64, now time.Time) []byte {
	ref := binary.BigEndian.AppendUint64([]byte{referenceVersion}, uint64(now.UnixMilli()))
	ref = binary.BigEndian.AppendUint32(ref, w.expired(file))
	return append(ref, w.referenceMAC(ref, account, file)...)
}

// expired is how often the references to a file have expired at once.
func (w *world) expired(file int64) uint32 { return w.expiries[file] + w.allExpired }

func (w *world) referenceMAC(head []byte, account, file int64) []byte {
	return w.mac("reference "+string(head), account, file)[:referenceMAC]
}

// checkReference returns the error type for a bad reference, "" for a good one.
func (w *world) checkReference(ref []byte, account, file int64, now time.Time) string {
	switch {
	case len(ref) == 0:
		return "FILE_REFERENCE_EMPTY"
	case len(ref) != referenceHead+referenceMAC || ref[0] != referenceVersion,
		!hmac.Equal(ref[referenceHead:], w.referenceMAC(ref[:referenceHead], account, file)):
		return "FILE_REFERENCE_INVALID"
	}
	made := time.UnixMilli(int64(binary.BigEndian.Uint64(ref[1:])))
	if now.Sub(made) >= time.Duration(w.cfg.ReferenceLifetime) || binary.BigEndian.Uint32(ref[9:]) != w.expired(file) {
		return "FILE_REFERENCE_EXPIRED"
	}
	return ""
}
