package main

import (
	"fmt"
	"math/rand/v2"
)

// keyLength is the length of every key, in bytes.
const keyLength = 16

// keys has the same keys as strings and as bytes, because some libraries take strings
// and some take bytes. So no library's time includes a conversion.
type keys struct {
	text []string
	raw  [][]byte
}

// randomKeys returns n keys of hexadecimal digits, next to each other in memory. They
// are the same in every run.
func randomKeys(n int) keys {
	random := rand.New(rand.NewPCG(1, 2))
	k := keys{text: make([]string, n), raw: make([][]byte, n)}
	digits := make([]byte, 0, n*keyLength)
	for range n {
		digits = fmt.Appendf(digits, "%016x", random.Uint64())
	}
	all := string(digits)
	for i := range n {
		k.text[i] = all[i*keyLength : (i+1)*keyLength]
		k.raw[i] = digits[i*keyLength : (i+1)*keyLength : (i+1)*keyLength]
	}
	return k
}

func (k keys) len() int { return len(k.text) }

func (k keys) part(from, to int) keys { return keys{k.text[from:to], k.raw[from:to]} }
