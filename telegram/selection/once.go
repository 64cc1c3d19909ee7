package selection

import "github.com/tghaul/haul/telegram"

// Once has each file of a message listed and counted once, although several
// listings of the pass may come upon it: what was listed before counts as not
// meant. It takes some 50 bytes for each file.
func (p *Pass) Once() {
	if p.listed == nil {
		p.listed = make(map[listedFile]struct{})
	}
}

type listedFile struct {
	messageKey
	file int64
}

// again reports whether a file was listed before, and notes it.
func (p *Pass) again(m *telegram.Message, f *telegram.File) bool {
	if p.listed == nil {
		return false
	}
	key := listedFile{messageKey{m.Peer.MarkedID(), m.ID}, f.ID}
	_, twice := p.listed[key]
	p.listed[key] = struct{}{}
	return twice
}
