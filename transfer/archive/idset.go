package archive

// An idSet holds message ids: numbers from 1 on, mostly without gaps. The
// zero value is empty.
type idSet struct{ pages map[int]*[pageIDs / 64]uint64 }

const pageIDs = 4096

func (s *idSet) add(id int) {
	if s.pages == nil {
		s.pages = make(map[int]*[pageIDs / 64]uint64)
	}
	p := s.pages[id>>12]
	if p == nil {
		p = new([pageIDs / 64]uint64)
		s.pages[id>>12] = p
	}
	p[id>>6&63] |= 1 << (id & 63)
}

func (s *idSet) has(id int) bool {
	p := s.pages[id>>12]
	return p != nil && p[id>>6&63]&(1<<(id&63)) != 0
}
