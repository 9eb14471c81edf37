package main

import "fmt"

// adapter is one library in one use that its documentation shows.
type adapter struct {
	name   string
	module string // whose version is told; empty for what is no peer
	pays   string // what a look-up costs, in a few words
	kind   kind
	// build makes the library know the members. It returns errUnfit when it
	// cannot be asked at this size.
	build func(members []string, partitions int) (*subject, error)
}

// kind tells whom a figure is compared with.
type kind int

const (
	isPeer  kind = iota
	isFloor      // no look-up at all: what nobody can be faster than
	isOurs
	// isTable is a peer whose look-up cannot be called: its data is read as
	// the library reads it.
	isTable
)

// subject is a library that knows its members, ready to be asked.
type subject struct {
	primary *work
	three   *work // nil when the library has no such call
	close   func()
}

// work is one question in two forms: as it is timed, and as it is checked. Both
// make the same calls, which the gate verifies by comparing what they come to.
type work struct {
	// loop asks about one key after the other and returns the sum of the
	// lengths of the owners' IDs: to know it one must have come as far as
	// the ID, and no further. It is written out in each adapter, so that
	// nothing but the library's own calls stands between two keys.
	loop func(keys) (int, error)
	// owners asks about the first key and returns the IDs. It is nil for
	// the floor, which knows no owners.
	owners func(k keys) ([]string, error)
}

// memberIDs are the members of a cluster of a size.
func memberIDs(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("member-%d", i)
	}
	return ids
}

// adapters are all that is measured, in the order of the report.
func adapters() []adapter {
	return []adapter{
		hashAlone, hashAndLoad,
		clusterkitRing, clusterkitBytes, clusterkitCluster, clusterkitPointer,
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
