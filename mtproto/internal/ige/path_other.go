//go:build purego || (!amd64 && !arm64)

package ige

var pathNames = []string{"portable"}

func detect() path { return portable }

func (path) encrypt(messages []Message) {
	for i := range messages {
		encryptPortable(&messages[i])
	}
}

func (path) decrypt(messages []Message) {
	for i := range messages {
		decryptPortable(&messages[i])
	}
}

func (path) hash(messages []Message) {
	for i := range messages {
		hashPortable(&messages[i])
	}
}

func (path) open(messages []Message) {
	for i := range messages {
		decryptPortable(&messages[i])
		hashPortable(&messages[i])
	}
}
