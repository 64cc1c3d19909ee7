package crypto

import (
	"crypto/aes"
	"encoding/binary"
	"errors"
)

// CDNCrypt encrypts or decrypts bytes of a CDN file, in place. key has 32
// bytes, iv 16; offset is where data stands in the file, a multiple of 16.
// See core.telegram.org/cdn#decrypting-files.
func CDNCrypt(key, iv []byte, offset int64, data []byte) error {
	if len(iv) != aes.BlockSize || len(key) != 32 || offset < 0 || offset%aes.BlockSize != 0 {
		return errors.New("crypto: bad key, iv or offset of a CDN file")
	}
	counter := [aes.BlockSize]byte(iv)
	binary.BigEndian.PutUint32(counter[12:], uint32(offset/aes.BlockSize))
	NewCTR([32]byte(key), counter).XORKeyStream(data, data)
	return nil
}
