package guard

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"math"
)

// memberlist numbers its probes 1, 2, 3, and takes any answer that has the number of a probe which waits. So a
// process that is no member could answer probes without seeing any, and recorded answers would fit again after a
// restart. The guard therefore replaces these numbers by others in all probes that this process sends. It puts the
// numbers of memberlist back into the answers. What arrives with a guessed or recorded number has then the number of
// no probe that waits. Other members return numbers as they are.

// numbers is a random permutation of the numbers of 32 bits: a Feistel network, whose function is AES with a key of
// this process.
type numbers struct{ function cipher.Block }

// numberRounds is as large as in the modes of NIST SP 800-38G.
const numberRounds uint8 = 10

func newNumbers() numbers {
	var key [16]byte
	_, _ = rand.Read(key[:]) // crypto/rand never returns an error
	function, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // the key has a valid length
	}
	return numbers{function}
}

// hide returns the number that others see.
func (n numbers) hide(number uint32) uint32 {
	left, right := uint16(number>>16), uint16(number&math.MaxUint16)
	for round := range numberRounds {
		left, right = right, left^n.of(round, right)
	}
	return uint32(left)<<16 | uint32(right)
}

// show returns the number that hide has hidden.
func (n numbers) show(number uint32) uint32 {
	left, right := uint16(number>>16), uint16(number&math.MaxUint16)
	for round := range numberRounds {
		left, right = right^n.of(numberRounds-1-round, left), left
	}
	return uint32(left)<<16 | uint32(right)
}

func (n numbers) of(round uint8, half uint16) uint16 {
	block := [aes.BlockSize]byte{round}
	binary.BigEndian.PutUint16(block[1:], half)
	n.function.Encrypt(block[:], block[:])
	return binary.BigEndian.Uint16(block[:])
}

// hidden returns a packet of memberlist with hidden numbers in the probes of this process.
func (g *Guard) hidden(b []byte) []byte {
	head, plain, ours := g.content(b)
	if !ours {
		return b
	}
	message, changed := rewrite(plain, maxNested, func(b []byte) ([]byte, bool) {
		if b[0] != pingMessage && b[0] != indirectPingMessage {
			return nil, false
		}
		return renumbered(b, g.numbers.hide)
	})
	if !changed {
		return b
	}
	return g.resealed(head, message)
}

// shown returns a message that was decrypted with the numbers of memberlist in the answers to probes. Answers
// without a number are removed.
func (g *Guard) shown(b []byte) ([]byte, bool) {
	return rewrite(b, maxNested, func(b []byte) ([]byte, bool) {
		if b[0] != ackMessage && b[0] != nackMessage {
			return nil, false
		}
		shown, _ := renumbered(b, g.numbers.show)
		return shown, true
	})
}

// renumbered returns a probe, or an answer, with another number. It returns false when it has no number.
func renumbered(b []byte, other func(uint32) uint32) (message []byte, ok bool) {
	r := &reader{buf: b, at: 1}
	err := r.fields(maxFields, func(key string) error {
		if key != "SeqNo" {
			return r.skip()
		}
		begin := r.at
		number, err := r.uint()
		if err != nil || number > math.MaxUint32 {
			return errNotGossip
		}
		message = binary.BigEndian.AppendUint32(append(bytes.Clone(b[:begin]), 0xce), other(uint32(number)))
		message = append(message, b[r.at:]...)
		return nil
	})
	if err != nil || message == nil {
		return nil, false
	}
	return message, true
}
