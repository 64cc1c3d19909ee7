package checkpoint

import (
	"encoding/binary"
	"slices"

	"github.com/dgraph-io/badger/v4"
)

// What was sent is remembered beyond its job, by its content and by its source,
// so that a later job can tell what a chat has already. Such records are written
// with the one that ends an upload, and kept.

// Records of what was sent, for good.
const (
	prefixContent = 'c' // chat, size, SHA-256: Sent, JSON
	prefixSource  = 'o' // UploadKey without a job: Sent, JSON
)

// contentPrefix begins the keys of what a chat was sent of a size; a negative
// size means all of the chat.
func contentPrefix(chat, size int64) []byte {
	b := binary.BigEndian.AppendUint64([]byte{prefixContent}, uint64(chat))
	if size < 0 {
		return b
	}
	return binary.BigEndian.AppendUint64(b, uint64(size))
}

func contentKey(chat, size int64, sum [32]byte) []byte {
	return append(contentPrefix(chat, size), sum[:]...)
}

// Length is how many bytes were sent.
func (s Sent) Length() int64 {
	if s.Size > 0 {
		return s.Size
	}
	return s.Source.Size
}

// keepsContent and keepsSource say whether such a record is made: a message whose
// number or content is not known proves nothing later.
func (s Sent) keepsContent() bool { return s.Message != 0 && s.SHA256 != [32]byte{} }
func (s Sent) keepsSource() bool  { return s.keepsContent() && s.Path != 0 }

func (w *writer) remember(k UploadKey, s Sent) error {
	if !s.keepsContent() {
		return nil
	}
	if err := w.putJSON(contentKey(k.Chat, s.Length(), s.SHA256), s); err != nil || !s.keepsSource() {
		return err
	}
	return w.putJSON(UploadKey{s.Path, k.Chat}.bytes(prefixSource), s)
}

// SentSource is what was sent last of a source to a chat, whatever the job;
// false if nothing is known.
func (s *Store) SentSource(k UploadKey) (r Sent, found bool, err error) {
	found, err = s.view(func(txn *badger.Txn) error {
		return getJSON(txn, k.bytes(prefixSource), func(v *Sent) error { r = *v; return nil })
	})
	return r, found, err
}

// SentContent is the message by which a chat was sent a content last; false if
// none is known.
func (s *Store) SentContent(chat, size int64, sum [32]byte) (r Sent, found bool, err error) {
	found, err = s.view(func(txn *badger.Txn) error {
		return getJSON(txn, contentKey(chat, size, sum), func(v *Sent) error { r = *v; return nil })
	})
	return r, found, err
}

// SentOfSize reports whether a chat was sent anything of a size: without that,
// there is no use in hashing.
func (s *Store) SentOfSize(chat, size int64) (found bool, err error) {
	_, err = s.view(func(txn *badger.Txn) error {
		found = len(keysUnder(txn, contentPrefix(chat, size))) > 0
		return nil
	})
	return found, err
}

// SentMessages are the messages of a chat that are recorded, by their ids, in
// rising order.
func (s *Store) SentMessages(chat int64) (ids []int, err error) {
	_, err = s.view(func(txn *badger.Txn) error {
		return scan(txn, contentPrefix(chat, -1), func(_ []byte, r *Sent) bool {
			ids = append(ids, r.Message)
			return true
		})
	})
	slices.Sort(ids)
	return slices.Compact(ids), err
}

// sentContent is what Memory knows a content by.
type sentContent struct {
	chat, size int64
	sum        [32]byte
}

func (m *Memory) rememberLocked(k UploadKey, s Sent) {
	if s.keepsContent() {
		m.contents[sentContent{k.Chat, s.Length(), s.SHA256}] = s
	}
	if s.keepsSource() {
		m.sources[UploadKey{s.Path, k.Chat}] = s
	}
}

// SentSource is as Store.SentSource.
func (m *Memory) SentSource(k UploadKey) (s Sent, found bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, found = m.sources[k]
	return s, found, nil
}

// SentContent is as Store.SentContent.
func (m *Memory) SentContent(chat, size int64, sum [32]byte) (s Sent, found bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, found = m.contents[sentContent{chat, size, sum}]
	return s, found, nil
}

// SentOfSize is as Store.SentOfSize.
func (m *Memory) SentOfSize(chat, size int64) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k := range m.contents {
		if k.chat == chat && k.size == size {
			return true, nil
		}
	}
	return false, nil
}

// SentMessages is as Store.SentMessages.
func (m *Memory) SentMessages(chat int64) (ids []int, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k, s := range m.contents {
		if k.chat == chat {
			ids = append(ids, s.Message)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}
