package checkpoint

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// A Job is one command of which something may be left to do: what it takes to
// run it again, and how far it is. What its fields mean is the caller's.
type Job struct {
	ID      string            `json:"id"` // not empty, and without a 0 byte
	Command string            `json:"command"`
	Args    []string          `json:"args"`
	Flags   map[string]string `json:"flags,omitempty"`  // say what is moved
	Tuning  map[string]string `json:"tuning,omitempty"` // say how
	Created time.Time         `json:"created"`
	LastRun time.Time         `json:"last_run"` // when the last run began
	State   string            `json:"state"`
	Reason  string            `json:"reason,omitempty"` // why it is not done, in words
	Until   time.Time         `json:"until,omitzero"`   // Telegram wants to be left alone till then
	// Counts of the last run. FilesDone includes those that were complete before.
	FilesDone   int   `json:"files_done"`
	FilesFailed int   `json:"files_failed"`
	FilesKnown  int   `json:"files_known"`
	ListDone    bool  `json:"list_done"` // whether FilesKnown is all of them
	BytesDone   int64 `json:"bytes_done"`
	BytesKnown  int64 `json:"bytes_known"`
}

func (j Job) clone() Job {
	j.Args, j.Flags, j.Tuning = slices.Clone(j.Args), maps.Clone(j.Flags), maps.Clone(j.Tuning)
	return j
}

// A Sent is an upload of a job that has become a message. It is kept until the
// job is over, so that running the job again does not send the file again.
type Sent struct {
	Source   Source    `json:"source"`
	Document int64     `json:"document,string"`
	Message  int       `json:"message"`
	SHA256   [32]byte  `json:"sha256"`
	At       time.Time `json:"at"`
	// Path is the TargetOf of the source's path, without the job; 0: the message
	// is not what a whole source has become.
	Path uint64 `json:"path,omitempty"`
	// Size is how many bytes the message has; 0: as many as the source.
	Size int64 `json:"size,omitempty"`
	// Captioned says that the message has the caption of its album.
	Captioned bool `json:"captioned,omitempty"`
}

// PutJob records a job, in place of what was recorded of it before.
func (b *Batch) PutJob(j Job) { b.add(op{kind: opJob, record: &record{job: j.clone()}}) }

// ForgetJob removes everything known of a job.
func (b *Batch) ForgetJob(id string) { b.add(op{kind: opForgetJob, record: &record{job: Job{ID: id}}}) }

// ForgetSent removes what is known of the files that a job has sent, and of the
// messages that it has forwarded.
func (b *Batch) ForgetSent(id string) {
	b.add(op{kind: opForgetSent, record: &record{job: Job{ID: id}}})
}

// FinishUpload removes everything known of an upload, whose message is sent.
// If it belongs to a job, that is not "", it is recorded there. What the chat
// has got is recorded too, beyond the job, see Store.SentContent.
func (b *Batch) FinishUpload(k UploadKey, job string, s Sent) {
	b.add(op{kind: opFinishUpload, upload: k, record: &record{job: Job{ID: job}, sent: s}})
}

func jobKey(id string) []byte { return append([]byte{prefixJob}, id...) }

// sentPrefix begins the keys of what a job has sent.
func sentPrefix(job string) []byte { return append(append([]byte{prefixMessage}, job...), 0) }

func sentKey(job string, k UploadKey) []byte {
	return append(sentPrefix(job), k.bytes(prefixMessage)[1:]...)
}

func (w *writer) applyJob(o *op) error {
	if o.kind == opJob {
		return w.putJSON(jobKey(o.job.ID), o.job)
	}
	if o.kind == opForgetJob {
		if err := w.delete(jobKey(o.job.ID)); err != nil {
			return err
		}
	}
	for _, key := range slices.Concat(keysUnder(w.txn, sentPrefix(o.job.ID)), keysUnder(w.txn, forwardPrefix(o.job.ID))) {
		if err := w.delete(key); err != nil {
			return err
		}
	}
	return nil
}

// keysUnder are all keys with the prefix.
func keysUnder(txn *badger.Txn, prefix []byte) (keys [][]byte) {
	o := badger.DefaultIteratorOptions
	o.Prefix, o.PrefetchValues = prefix, false
	it := txn.NewIterator(o)
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		keys = append(keys, it.Item().KeyCopy(nil))
	}
	return keys
}

// Jobs are the recorded jobs, the oldest first.
func (s *Store) Jobs() ([]Job, error) {
	var jobs []Job
	_, err := s.view(func(txn *badger.Txn) error {
		return scan(txn, []byte{prefixJob}, func(_ []byte, j *Job) bool {
			jobs = append(jobs, *j)
			return true
		})
	})
	sortJobs(jobs)
	return jobs, err
}

func sortJobs(jobs []Job) {
	slices.SortFunc(jobs, func(a, b Job) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
}

// Sent is what a job has sent of an upload; false if it has not.
func (s *Store) Sent(job string, k UploadKey) (r Sent, found bool, err error) {
	found, err = s.view(func(txn *badger.Txn) error {
		return getJSON(txn, sentKey(job, k), func(v *Sent) error { r = *v; return nil })
	})
	return r, found, err
}
