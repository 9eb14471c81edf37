package guard

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
)

// memberlist writes one byte before each encrypted message that says how it was padded. It
// writes 1 and still reads 0, and the byte is not authenticated. An attacker can change
// the byte on its way, or send an old message again with another byte. Then memberlist
// removes a padding that does not exist, which panics when the last byte is larger than
// the length of the message. The attacker needs no key for that. So the guard lets only
// version 1 pass.
const (
	cipherVersion = 1
	nonceSize     = 12 // the nonce of AES-GCM, which follows the version
)

var errCipherVersion = errors.New("membership: stream is encrypted in a version that no member writes")

// soundPacket reports whether the version of an encrypted packet is the one in use. The
// label before it is not checked here, and may be that of another cluster.
func soundPacket(b []byte) bool {
	label, missing, err := peekLabel(b)
	if err != nil || missing > 0 {
		return false
	}
	if label != nil {
		b = b[2+len(label):]
	}
	return len(b) > 0 && b[0] == cipherVersion
}

// decrypt returns what a key decrypts of a message, which begins with its version. data is
// authenticated with it.
func (g *Guard) decrypt(message, data []byte) (plain []byte, ok bool) {
	if len(message) < minSealed {
		return nil, false
	}
	nonce, sealed := message[1:1+nonceSize], message[1+nonceSize:]
	for _, key := range g.opts.Keys() {
		block, err := aes.NewCipher(key)
		if err != nil {
			continue
		}
		gcm, err := cipher.NewGCM(block)
		if err != nil {
			continue
		}
		if plain, err := gcm.Open(nil, nonce, sealed, data); err == nil {
			return plain, true
		}
	}
	return nil, false
}
