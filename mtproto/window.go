package mtproto

import "slices"

// A replayWindow remembers the ids of messages received in a session, so that
// none is processed twice. See core.telegram.org/mtproto/security_guidelines#checking-msg-id.
type replayWindow struct {
	ids []int64 // ascending, at most 2·windowSize
}

const windowSize = 1000

type verdict int

const (
	fresh     verdict = iota
	duplicate         // seen: acknowledge again, process not
	tooOld            // older than all that is remembered: drop
)

// accept remembers id if it is fresh.
func (w *replayWindow) accept(id int64) verdict {
	i, found := slices.BinarySearch(w.ids, id)
	switch {
	case found:
		return duplicate
	case i == 0 && len(w.ids) >= windowSize:
		return tooOld
	}
	w.ids = slices.Insert(w.ids, i, id)
	if len(w.ids) >= 2*windowSize {
		w.ids = slices.Delete(w.ids, 0, windowSize)
	}
	return fresh
}

// states says what is known of messages, one byte each, as msgs_state_info has
// it: 1 too old to know, 2 not received, 3 not received and too high, 4 received.
func (w *replayWindow) states(ids []int64) []byte {
	info := make([]byte, len(ids))
	for i, id := range ids {
		at, found := slices.BinarySearch(w.ids, id)
		switch {
		case found:
			info[i] = 4
		case at == len(w.ids):
			info[i] = 3
		case at == 0:
			info[i] = 1
		default:
			info[i] = 2
		}
	}
	return info
}
