package cluster

import (
	"context"
	"time"
)

// Mover moves the data of a service when partitions change owners. The library decides which
// member merges which partition from which members, and when a member may delete data. The
// service copies and deletes the bytes. docs/handoff.md has the model and its guarantee.
//
// Both methods are called from goroutines of the library, several at a time, but never two for
// one partition, and with no lock held. They should return soon after the context ends. An
// error that they return, or a panic, is reported with a [HandoffFailed] event, and the call is
// made again. So is a call that ends its goroutine with [runtime.Goexit]. They may call methods
// of the cluster, but must not wait for [Cluster.Drain] or [Cluster.Stop], which wait for them.
type Mover interface {
	// Receive merges a partition from other members: from at least need of them, and better
	// from all. To merge is to keep the newer version of each datum, whether it is stored
	// here or at the other member. Receive never replaces the data stored here as a whole.
	//
	// Receive must see every write that a source had applied when Receive was called. It must
	// refuse data from a process whose start differs from the Start of the member in from:
	// that process is a later one, and began empty. Receive returns nil once the merged data
	// is stored here as safely as a write that was acknowledged.
	//
	// The context ends when a newer ring makes the move pointless, when
	// HandoffOptions.CallLimit has passed, and when the cluster stops.
	Receive(ctx context.Context, partition int, from []Member, need int) error
	// Release deletes a partition. Each owner has confirmed that it has merged the data that
	// is here. This member accepts no write to the partition until Release has returned.
	// With a [Journal] Release may be called again after a restart: it must be idempotent.
	Release(ctx context.Context, partition int) error
}

// HandoffOptions configure handoff. The zero value of every field is usable.
type HandoffOptions struct {
	// Mover moves the data. Nil means that there is no data to move: a member owns as soon as it
	// has joined, and [Cluster.Handoff] checks only tokens and ownership. Members with a Mover
	// and members without one can own together only under a configuration in which handoff is
	// off. A Mover needs Gossip.Keys, or Gossip.TrustedNetwork where strangers cannot reach the gossip
	// port.
	Mover Mover
	// Journal keeps what this member knows of its data. It is for data that survives a
	// restart, and needs a Mover. Nil means that no data survives: a process that starts is a
	// new, empty owner.
	Journal Journal
	// WriteQuorum is how many of a partition's owners must acknowledge a write before the write
	// counts as acknowledged: W of the main configuration, from 1 to the replication factor. The
	// guarantee of docs/handoff.md needs more than half of the replication factor. Zero means
	// the smallest such number. WriteQuorum is part of the configuration: see [Configuration],
	// and [Handoff.WriteQuorum] for the one in use.
	WriteQuorum int
	// Off says that under the main configuration handoff is off: see Configuration.HandoffOff. To
	// turn handoff off in a running cluster, restart every member with Off set and the
	// configuration in use in AlsoRuns, then every member without the Mover. With Off, WriteQuorum
	// must be zero. False means that handoff is on where there is a Mover.
	Off bool
	// Parallel is how many calls of Receive, Release and Save run at a time, 1 to 1024. Zero
	// means 8.
	Parallel int
	// RetryAfter is the wait before a call that failed is made again, 1 ms to 1 hour. It
	// doubles with each failure, up to 128 times as long. Zero means 250 milliseconds.
	RetryAfter time.Duration
	// CallLimit is how long one call may take before its context ends, 1 ms to 1 week. Zero
	// means 10 minutes.
	CallLimit time.Duration
	// OverdueAfter is how long a partition may be moving before health reports a problem, 1
	// ms to 1 week. The move goes on. Zero means 1 minute.
	OverdueAfter time.Duration
}

// Journal keeps what a member knows of its data, for members whose data survives a restart.
// Without a journal a process that starts is a new, empty owner. With a journal it is the
// earlier owner, which was away. It owns at once, merges the writes that it missed before it
// serves, and other members count its data as before. At a start, [Mover.Release] is called
// again for each partition that was released, in case an earlier call was cut short.
//
// A journal must always match the data:
//
//   - Keep both on one disk, and restore both or none.
//   - Never run two processes on a copy.
//   - To start empty, empty the journal too.
//
// The values are small: a few hundred bytes for each partition that the member holds, under
// at most PartitionCount + 2 keys of up to 20 letters, digits and dashes.
//
// Save is called from several goroutines, but never from two for one key, and with no lock
// held. When it returns an error, the call is made again. Until a call for a partition
// succeeds, a new owner of the partition accepts no writes, and a former owner does not release
// it.
type Journal interface {
	// Load returns all keys and values that are saved. [New] and [Cluster.Start] call it once
	// each, and return its error, or its panic as an error. Start returns an error where the
	// journal has changed since New, because another [Cluster] has used it.
	Load() (map[string][]byte, error)
	// Save replaces the value of a key. When it returns nil, the value is as safe as a write
	// that was acknowledged. It should return soon after the context ends.
	Save(ctx context.Context, key string, value []byte) error
}
