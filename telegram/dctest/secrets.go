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
	// takeoutReference is the version of those that were given out within an
	// export session, and are worth nothing outside of one.
	takeoutReference = 2
	referenceHead    = 1 + 8 + 4
	referenceMAC     = 16
)

// reference makes a file reference. See core.telegram.org/api/file-references.
func (r *request) reference(file int64) []byte {
	w, version := r.c.world, byte(referenceVersion)
	if r.takeout.Set {
		version = takeoutReference
	}
	ref := binary.BigEndian.AppendUint64([]byte{version}, uint64(r.now.UnixMilli()))
	ref = binary.BigEndian.AppendUint32(ref, w.expired(file))
	return append(ref, w.referenceMAC(ref, r.me.id, file)...)
}

// expired is how often the references to a file have expired at once.
func (w *world) expired(file int64) uint32 { return w.expiries[file] + w.allExpired }

func (w *world) referenceMAC(head []byte, account, file int64) []byte {
	return w.mac("reference "+string(head), account, file)[:referenceMAC]
}

// checkReference returns the error type for a bad reference, "" for a good one.
func (r *request) checkReference(ref []byte, file int64) string {
	w := r.c.world
	switch {
	case len(ref) == 0:
		return "FILE_REFERENCE_EMPTY"
	case len(ref) != referenceHead+referenceMAC || ref[0] != referenceVersion && ref[0] != takeoutReference,
		!hmac.Equal(ref[referenceHead:], w.referenceMAC(ref[:referenceHead], r.me.id, file)):
		return "FILE_REFERENCE_INVALID"
	}
	made := time.UnixMilli(int64(binary.BigEndian.Uint64(ref[1:])))
	if r.now.Sub(made) >= time.Duration(w.cfg.ReferenceLifetime) || ref[0] == takeoutReference && !r.takeout.Set ||
		binary.BigEndian.Uint32(ref[9:]) != w.expired(file) {
		return "FILE_REFERENCE_EXPIRED"
	}
	return ""
}
