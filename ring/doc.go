// Package ring answers "which members own this key?" from an immutable table.
//
// A key hashes to a partition; a partition has a preference list: its owners
// in order, the primary first. A [Ring] holds the preference lists of every
// partition as one flat array. It is built once by [Build], from a set of
// members and a [RebalanceStrategy], and never changes afterwards, so that any
// number of goroutines may read it without a lock.
//
// The package is pure. It knows no network, clock, logger or random source: the same
// members and the same [Config] give the same ring, bit for bit, in every process and
// on every architecture. [Ring.Fingerprint] tells whether two rings are the same.
//
//	r, err := ring.Build(ring.Config{
//		PartitionCount:    4096,
//		ReplicationFactor: 3,
//		Strategy:          rebalance.Balanced{},
//	}, nodes)
//	if err != nil {
//		return err
//	}
//	for _, node := range r.Lookup("user:42").All() {
//		fmt.Println(node.ID(), node.Zone())
//	}
//
// The package does not notice that members join or leave: package membership does. It
// does not decide when a new ring replaces an old one: package cluster does.
package ring
