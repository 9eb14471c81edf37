package main

import (
	"fmt"
	"math/bits"
	"strings"

	"github.com/clusterkit/clusterkit/bench/internal/measure"
)

// adapter is one library, used in a way that its documentation shows.
type adapter struct {
	name string
	role measure.Role
	most int // the largest number of members that it can be measured with; zero means no bound
	// build gives the members to the library.
	build func(members []string, partitions int) (*subject, error)
}

// subject is a library with its members. Its functions look one key up after the other,
// and return the sum of the lengths of the owners' IDs, so that the library must find
// the IDs. Each function has its own loop, with only the library's calls between two
// keys. It panics when the library returns an error.
type subject struct {
	primary func(keys) int
	three   func(keys) int // nil if the library has no such call
	close   func()         // nil if there is nothing to release
}

// adapters are all measured libraries, in the order of the report. The first floor and
// the first reference are the units.
func adapters() []adapter {
	return []adapter{
		hashAlone, hashAndLoad,
		clusterkitPointer, clusterkitRing, clusterkitBytes, clusterkitCluster,
		consistentBytes, consistentString, consistentDefault,
		olricTable,
		dskitRing,
		ringpopRing,
		groupcacheMap,
		stathatRing,
		serialxRing,
		rendezvousList,
		jumpList,
		ckitRing, ckitRendezvous, ckitMultiprobe,
	}
}

// construct calls build, and turns a panic into an error.
func (a adapter) construct(members []string, partitions int) (s *subject, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return a.build(members, partitions)
}

func (s *subject) end() {
	if s.close != nil {
		s.close()
	}
}

// memberIDs returns the IDs of the members of a cluster of a size.
func memberIDs(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("member-%d", i)
	}
	return ids
}

// gateIDs are IDs whose lengths are powers of two. So the sum of lengths that a subject
// returns for one key tells which members it named.
func gateIDs() []string {
	ids := make([]string, 8)
	for i := range ids {
		ids[i] = strings.Repeat("m", 1<<i)
	}
	return ids
}

// gateKeys is the number of keys for which a library must give correct answers before
// it is timed.
const gateKeys = 1024

// gate looks keys up in a library with the members of gateIDs. It returns an error for
// a number of distinct members that is not the wanted one, for another answer at the
// second time, and for a panic.
func gate(ask func(keys) int, k keys, want int) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	total := 0
	for i := range k.len() {
		one := k.part(i, i+1)
		sum := ask(one)
		if sum < 0 || sum >= 1<<len(gateIDs()) || bits.OnesCount(uint(sum)) != want {
			return fmt.Errorf("key %q: the owners' lengths sum to %b, which are not %d members", one.text[0], sum, want)
		}
		if again := ask(one); again != sum {
			return fmt.Errorf("key %q: the owners' lengths sum to %b, and to %b when asked again", one.text[0], sum, again)
		}
		total += sum
	}
	if all := ask(k); all != total {
		return fmt.Errorf("asked about all keys at once, the lengths sum to %d, one by one to %d", all, total)
	}
	return nil
}

// pass checks an adapter with gate.
func (a adapter) pass(k keys) error {
	s, err := a.construct(gateIDs(), 512)
	if err != nil {
		return err
	}
	defer s.end()
	if a.role == measure.Floor { // a floor finds no owners
		return nil
	}
	if err := gate(s.primary, k, 1); err != nil {
		return fmt.Errorf("primary: %w", err)
	}
	if s.three == nil {
		return nil
	}
	if err := gate(s.three, k, replicas); err != nil {
		return fmt.Errorf("three owners: %w", err)
	}
	return nil
}
