package transfer

import (
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// A scratch is memory that the task of an attempt uses for one part after the
// other. What job.move returns may live in it, so it belongs to one part until
// the attempt is over.
type scratch struct {
	dec tl.Decoder

	// Of downloads.
	get     api.UploadGetFileRequest
	file    api.UploadFile // aliases the answer
	fetched fetched

	// Of uploads.
	saveBig   api.UploadSaveBigFilePartRequest
	save      api.UploadSaveFilePartRequest
	confirmed confirmed
}

// answerOf reads the answer to m.get. What it returns aliases body, and is part
// of m if it is the usual one.
func (m *scratch) answerOf(body []byte) (api.UploadFileClass, error) {
	if m.dec.Reset(body); m.dec.PeekID() != api.UploadFileID {
		return decode(&m.get, body)
	}
	m.file.Decode(&m.dec)
	if err := m.dec.End(); err != nil {
		return nil, &answerError{method: m.get.TypeName(), err: err}
	}
	return &m.file, nil
}
