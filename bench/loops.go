package main

import (
	"math"
	"math/bits"
	"runtime"
	"sync"

	"github.com/cespare/xxhash/v2"

	"github.com/clusterkit/clusterkit/bench/internal/measure"
	"github.com/clusterkit/clusterkit/ring"
)

// Each case of the lookup report has its own loop: a function call for each operation
// would take longer than some of the operations. The result of an operation goes to a
// variable that is kept alive after the loop. So the compiler cannot drop the work, and
// need not store every result.
//
// A function that returns a loop must not be inlined: in the inlined copy of the loop, Go 1.26
// inlines only the smallest functions when the function around it is large. So a lookup would
// take one or two calls more than in an ordinary loop, and an iterator would allocate three
// times for each key.

// maker is the type of [measure.Case.Make].
type maker = func() (run func(n int), err error)

// source has the keys for the cases of a group. It makes the keys when the first case
// needs them. Their number is a power of two.
type source[K any] struct {
	all   func() []K
	taken int // the number of cases that took the keys
}

func keysOf(count, length int) *source[string] {
	return &source[string]{all: sync.OnceValue(func() []string { return keySet[string](count, length) })}
}

func bytesOf(count, length int) *source[[]byte] {
	return &source[[]byte]{all: sync.OnceValue(func() [][]byte { return keySet[[]byte](count, length) })}
}

// largestBatch is the largest number of keys that a case takes at once.
const largestBatch = 8192

// take returns the keys and the index at which the next case begins. All cases use the
// same keys. They begin far apart, in steps of the golden section, because a case that
// begins soon after another would find its keys in the caches.
func (s *source[K]) take() (keys []K, at int) {
	const golden = 0.6180339887498949
	keys = s.all()
	_, part := math.Modf(float64(s.taken) * golden)
	s.taken++
	return keys, int(part*float64(len(keys))) / largestBatch * largestBatch
}

// over makes a run of a loop over keys. Each call begins where the last one ended, and
// continues at the first key after the last.
func over[K any](keys *source[K], loop func(keys []K, from, to int)) maker {
	return func() (func(int), error) {
		all, at := keys.take()
		return func(n int) {
			loop(all, at, at+n)
			at += n
		}, nil
	}
}

// hashAlone is the floor of every table that looks keys up: a key must be read in
// full before its owners are known.
//
//go:noinline
func hashAlone(keys *source[string]) maker {
	return over(keys, func(keys []string, from, to int) {
		var last uint64
		for i := from; i < to; i++ {
			last = xxhash.Sum64String(keys[i&(len(keys)-1)])
		}
		runtime.KeepAlive(last)
	})
}

//go:noinline
func hashBytes(keys *source[[]byte]) maker {
	return over(keys, func(keys [][]byte, from, to int) {
		var last uint64
		for i := from; i < to; i++ {
			last = xxhash.Sum64(keys[i&(len(keys)-1)])
		}
		runtime.KeepAlive(last)
	})
}

// hashAndLoad is the least work of any table: the hash, and one load from an array with
// a small number for each partition.
//
//go:noinline
func hashAndLoad(keys *source[string], partitions int) maker {
	table := sequence(partitions)
	return over(keys, func(keys []string, from, to int) {
		var last uint16
		for i := from; i < to; i++ {
			slot, _ := bits.Mul64(xxhash.Sum64String(keys[i&(len(keys)-1)]), uint64(len(table)))
			last = table[slot]
		}
		runtime.KeepAlive(last)
	})
}

//go:noinline
func hashAndLoadBytes(keys *source[[]byte], partitions int) maker {
	table := sequence(partitions)
	return over(keys, func(keys [][]byte, from, to int) {
		var last uint16
		for i := from; i < to; i++ {
			slot, _ := bits.Mul64(xxhash.Sum64(keys[i&(len(keys)-1)]), uint64(len(table)))
			last = table[slot]
		}
		runtime.KeepAlive(last)
	})
}

func sequence(count int) []uint16 {
	all := make([]uint16, count)
	for i := range all {
		all[i] = uint16(i)
	}
	return all
}

// primary looks up the first owner in the ring behind a published pointer.
//
//go:noinline
func primary(p *published, keys *source[string]) maker {
	return over(keys, func(keys []string, from, to int) {
		var last ring.Owner
		for i := from; i < to; i++ {
			last, _ = p.Lookup(keys[i&(len(keys)-1)]).Primary()
		}
		runtime.KeepAlive(last)
	})
}

//go:noinline
func primaryBytes(p *published, keys *source[[]byte]) maker {
	return over(keys, func(keys [][]byte, from, to int) {
		var last ring.Owner
		for i := from; i < to; i++ {
			last, _ = p.LookupBytes(keys[i&(len(keys)-1)]).Primary()
		}
		runtime.KeepAlive(last)
	})
}

// owners iterates over all owners.
//
//go:noinline
func owners(p *published, keys *source[string]) maker {
	return over(keys, func(keys []string, from, to int) {
		var last ring.Owner
		for i := from; i < to; i++ {
			for _, o := range p.Lookup(keys[i&(len(keys)-1)]).All() {
				last = o
			}
		}
		runtime.KeepAlive(last)
	})
}

//go:noinline
func ownersBytes(p *published, keys *source[[]byte]) maker {
	return over(keys, func(keys [][]byte, from, to int) {
		var last ring.Owner
		for i := from; i < to; i++ {
			for _, o := range p.LookupBytes(keys[i&(len(keys)-1)]).All() {
				last = o
			}
		}
		runtime.KeepAlive(last)
	})
}

// floor is the case of the hash alone.
func floor(group string, keys *source[string]) measure.Case {
	return measure.Case{Group: group, Name: "hash alone", Role: measure.Floor, Make: hashAlone(keys)}
}
