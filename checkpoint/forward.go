package checkpoint

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// A Forward is how far a job is that forwards the messages of a chat, the oldest
// first. It is kept until the job is over.
type Forward struct {
	Upto     int  `json:"upto"`           // messages up to this id are done; 0: none
	Max      int  `json:"max,omitempty"`  // messages above this id are none of the job's; 0: all may be
	Messages int  `json:"messages"`       // forwarded so far
	Done     bool `json:"done,omitempty"` // all others are done, or in Failed
	// Failed are messages that the server has refused to forward, rising.
	Failed []int `json:"failed,omitempty"`
	// IDs and RandomIDs are messages that are being forwarded, in one call, of
	// which nobody knows yet whether it was executed. They are sent again just so.
	IDs       []int     `json:"ids,omitempty"`
	RandomIDs []int64   `json:"random_ids,omitempty"`
	At        time.Time `json:"at"`
}

func (f Forward) clone() Forward {
	f.IDs, f.RandomIDs, f.Failed = slices.Clone(f.IDs), slices.Clone(f.RandomIDs), slices.Clone(f.Failed)
	return f
}

// prefixForward: id of a job, 0, number of the chat: Forward, JSON.
const prefixForward = 'g'

// forwardPrefix begins the keys of a job's forwards.
func forwardPrefix(job string) []byte { return append(append([]byte{prefixForward}, job...), 0) }

func forwardKey(job string, n int) []byte {
	return binary.BigEndian.AppendUint32(forwardPrefix(job), uint32(n))
}

// PutForward records how far a job is with the n-th of its chats, from 0.
func (b *Batch) PutForward(job string, n int, f Forward) {
	b.add(op{kind: opForward, part: n, record: &record{job: Job{ID: job}, forward: f.clone()}})
}

// Forward is how far a job is with the n-th of its chats; false if it has not
// begun.
func (s *Store) Forward(job string, n int) (f Forward, found bool, err error) {
	found, err = s.view(func(txn *badger.Txn) error {
		return getJSON(txn, forwardKey(job, n), func(v *Forward) error { f = *v; return nil })
	})
	return f, found, err
}

// forwardOf is what Memory knows a forward by.
type forwardOf struct {
	job string
	n   int
}

// Forward is as Store.Forward.
func (m *Memory) Forward(job string, n int) (f Forward, found bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, found = m.forwards[forwardOf{job, n}]
	return f.clone(), found, nil
}

func (m *Memory) forgetForwardsLocked(job string) {
	for k := range m.forwards {
		if k.job == job {
			delete(m.forwards, k)
		}
	}
}
