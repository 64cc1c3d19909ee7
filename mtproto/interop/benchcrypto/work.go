//go:build linux

package main

import (
	"crypto/aes"
	"errors"
	"math/rand/v2"

	"github.com/gotd/ige"
	"github.com/gotd/td/bin"
	theirs "github.com/gotd/td/crypto"

	ours "github.com/tghaul/haul/mtproto/crypto"
)

// keys returns the same auth key for both.
func keys(rnd *rand.ChaCha8) (*ours.AuthKey, theirs.AuthKey) {
	var value [ours.AuthKeySize]byte
	_, _ = rnd.Read(value[:])
	return ours.NewAuthKey(value), theirs.Key(value).WithID()
}

// plaintexts returns n messages of about size bytes with header, as ParseHeader takes them.
func plaintexts(rnd *rand.ChaCha8, n, size int) (list [][]byte) {
	for i := range n {
		b := make([]byte, ours.HeaderSize+size)
		_, _ = rnd.Read(b)
		ours.Header{Salt: 1, SessionID: 2, MsgID: int64(4*i + 1), SeqNo: 1, Length: int32(size)}.Put(b)
		list = append(list, b)
	}
	return list
}

var errMsgKey = errors.New("msg_key does not match")

// download is n answers of the server, to be decrypted and checked.
func download(rnd *rand.ChaCha8, n, size int) workload {
	key, theirKey := keys(rnd)
	plain := plaintexts(rnd, n, size)
	var sealed [][]byte
	for _, p := range plain {
		buf := make([]byte, ours.SealedSize(len(p)))
		copy(buf[ours.PacketHeader:], p)
		packet, _, err := key.Seal(buf, len(p), ours.FromServer, 0, rnd)
		if err != nil {
			panic(err)
		}
		sealed = append(sealed, packet)
	}
	// Ours works in place, so that it needs the packets again each time.
	packets := make([]ours.Packet, n)
	renew := func() {
		for i := range packets {
			packets[i] = ours.Packet{Key: key, Bytes: append(packets[i].Bytes[:0], sealed[i]...)}
		}
	}
	check := func(p *ours.Packet, want []byte) error {
		if p.Err != nil {
			return p.Err
		}
		return same(p.Plaintext[:64], want[:64])
	}
	open := func(together int) func() error {
		return func() error {
			for i := 0; i < n; i += together {
				ours.OpenAll(packets[i:i+together], ours.FromServer)
			}
			for i := range packets {
				if err := check(&packets[i], plain[i]); err != nil {
					return err
				}
			}
			return nil
		}
	}
	out := make([]byte, len(sealed[0]))
	pieces := func() error {
		for i, packet := range packets {
			msgKey, data := bin.Int128(packet.Bytes[8:24]), packet.Bytes[24:]
			k, iv := theirs.Keys(theirKey.Value, msgKey, theirs.Server)
			text := out[:len(data)]
			ige.DecryptAES256Blocks(k[:], iv[:], text, data)
			if theirs.MessageKey(theirKey.Value, text, theirs.Server) != msgKey {
				return errMsgKey
			}
			if err := same(text[:64], plain[i][:64]); err != nil {
				return err
			}
		}
		return nil
	}
	client := theirs.NewClientCipher(rnd)
	whole := func() error {
		for i, packet := range packets {
			m, err := client.DecryptFromBuffer(theirKey, &bin.Buffer{Buf: packet.Bytes})
			if err != nil {
				return err
			}
			if err := same(m.MessageDataWithPadding[:32], plain[i][32:64]); err != nil {
				return err
			}
		}
		return nil
	}
	return workload{"decrypt and check, messages of 1 MiB", n * size, []contender{
		{"gotd/ige and crypto/sha256, buffer reused", 0, renew, pieces},
		{"gotd/td's crypto.Cipher, as its client calls it", 0, renew, whole},
		{"haul, one message at a time", 1.8, renew, open(1)},
		{"haul, two", 0, renew, open(2)},
		{"haul, four", 6, renew, open(4)},
	}}
}

// upload is n requests of a client, to be hashed and encrypted.
func upload(rnd *rand.ChaCha8, n, size int) workload {
	key, theirKey := keys(rnd)
	plain := plaintexts(rnd, n, size)
	padding := ours.SealedSize(len(plain[0])) - ours.PacketHeader - len(plain[0])
	sealings := make([]ours.Sealing, n)
	renew := func() {
		for i, p := range plain {
			buf := sealings[i].Buf
			if buf == nil {
				buf = make([]byte, ours.SealedSize(len(p)))
			}
			copy(buf[ours.PacketHeader:], p)
			sealings[i] = ours.Sealing{Key: key, Buf: buf, N: len(p), Padding: padding, Rand: rnd}
		}
	}
	seal := func(together int) func() error {
		return func() error {
			for i := 0; i < n; i += together {
				ours.SealAll(sealings[i:i+together], ours.FromClient)
			}
			for i := range sealings {
				if sealings[i].Err != nil {
					return sealings[i].Err
				}
			}
			return nil
		}
	}
	out := make([]byte, ours.SealedSize(len(plain[0])))
	pieces := func() error {
		for i := range sealings {
			data := sealings[i].Buf[ours.PacketHeader:]
			if _, err := rnd.Read(data[sealings[i].N:]); err != nil {
				return err
			}
			msgKey := theirs.MessageKey(theirKey.Value, data, theirs.Client)
			k, iv := theirs.Keys(theirKey.Value, msgKey, theirs.Client)
			block, err := aes.NewCipher(k[:])
			if err != nil {
				return err
			}
			copy(out[8:24], msgKey[:])
			ige.EncryptBlocks(block, iv[:], out[24:], data)
		}
		return nil
	}
	client := theirs.NewClientCipher(rnd)
	var b bin.Buffer
	whole := func() error {
		for _, p := range plain {
			err := client.Encrypt(theirKey, theirs.EncryptedMessageData{
				Salt: 1, SessionID: 2, MessageID: 1, SeqNo: 1,
				MessageDataLen: int32(size), MessageDataWithPadding: p[ours.HeaderSize:],
			}, &b)
			if err != nil {
				return err
			}
		}
		return nil
	}
	return workload{"hash and encrypt, messages of 512 KiB", n * size, []contender{
		{"gotd/ige and crypto/sha256, buffer reused", 0, renew, pieces},
		{"gotd/td's crypto.Cipher, as its client calls it", 0, renew, whole},
		{"haul, one message at a time", 0, renew, seal(1)},
		{"haul, two", 0, renew, seal(2)},
		{"haul, four", 0, renew, seal(4)},
	}}
}
