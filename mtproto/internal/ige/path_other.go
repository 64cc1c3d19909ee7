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

func (path) besides() bool { return false }

func (p path) openBeside(messages []Message, _ Streams) { p.open(messages) }

func (p path) encryptBeside(messages, hash []Message, _ Streams) {
	p.encrypt(messages)
	p.hash(hash)
}

// sumOrder is that of the standard.
var sumOrder = [8]int{0, 1, 2, 3, 4, 5, 6, 7}
