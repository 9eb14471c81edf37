package main

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
)

// keyLength is the length of every key, in bytes.
const keyLength = 16

// keys are the same keys twice, because some libraries take strings and some
// take bytes, and neither should pay for a conversion that a user of the other
// form would not need.
type keys struct {
	text []string
	raw  [][]byte
}

// randomKeys returns n keys of hexadecimal digits, the same in every run.
func randomKeys(n int) keys {
	random := rand.New(rand.NewPCG(1, 2))
	digits := make([]byte, 0, n*keyLength)
	var word [keyLength / 2]byte
	for range n {
		binary.BigEndian.PutUint64(word[:], random.Uint64())
		digits = hex.AppendEncode(digits, word[:])
	}
	return cut(digits)
}

// cut makes keys of digits, one after the other.
func cut(digits []byte) keys {
	n, all := len(digits)/keyLength, string(digits)
	k := keys{text: make([]string, n), raw: make([][]byte, n)}
	for i := range n {
		k.text[i] = all[i*keyLength : (i+1)*keyLength]
		k.raw[i] = digits[i*keyLength : (i+1)*keyLength : (i+1)*keyLength]
	}
	return k
}

func (k keys) len() int { return len(k.text) }

func (k keys) part(from, to int) keys { return keys{k.text[from:to], k.raw[from:to]} }

// clone copies the keys to memory of their own.
func (k keys) clone() keys {
	var digits []byte
	for _, key := range k.raw {
		digits = append(digits, key...)
	}
	return cut(digits)
}
