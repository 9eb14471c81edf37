package cluster

import (
	"context"
	"time"
)

// Mover is the service's part in moving data when partitions change owners. The library says
// which member merges which partition from which members, and when a member may throw data away.
// The service moves the bytes. docs/handoff.md has the model, and what may be claimed of it.
//
// Both methods are called from goroutines of the library, several at a time, but never two for
// one partition, and with no lock held. They should return soon after the context ends. An
// error that they return, or a panic, is reported with a [HandoffFailed] event, and the call is
// made again.
type Mover interface {
	// Receive merges a partition from other members: from need of them at least, and better
	// from all. To merge is to keep, of each datum, the newer of what is here and what is
	// there. What is here is never replaced as a whole.
	//
	// Receive must see every write that a source had applied when Receive was called. It must
	// not accept data from a process whose start is not the Start of the source: that process
	// has begun anew, and empty. It returns nil once what it merged is here as safely as a
	// write that was acknowledged.
	//
	// The context ends when a newer ring makes the move pointless, when
	// HandoffOptions.CallLimit has passed, and when the cluster stops.
	Receive(ctx context.Context, partition int, from []Member, need int) error
	// Release throws a partition away. Each owner has confirmed that it has merged what is
	// here. This member accepts no write to the partition until Release has returned. With a
	// [Journal] it may be called again after a restart: it must be idempotent.
	Release(ctx context.Context, partition int) error
}

// HandoffOptions configure handoff. The zero value of every field is usable.
type HandoffOptions struct {
	// Mover moves the data. Nil means that there is none to move: members own as soon as they
	// have joined, and [Cluster.Handoff] checks tokens and ownership alone. Members with a Mover
	// and members without one own together only under a configuration in which handoff is off.
	Mover Mover
	// Journal keeps what this member knows of its data, where the data survives a restart. Nil
	// means that it does not: a process that starts is a new, empty owner. It needs a Mover.
	Journal Journal
	// WriteQuorum is how many of a partition's owners acknowledge a write before it counts: W of
	// the main configuration, from 1 to the replication factor. The claim of docs/handoff.md
	// needs more than half of the replication factor. Zero means the smallest such number. It
	// is part of the configuration: see [Configuration], and [Handoff.WriteQuorum] for the one
	// in use.
	WriteQuorum int
	// Off says that under the main configuration handoff is off: see Configuration.HandoffOff. It is
	// for turning handoff off in a running cluster: restart every member with Off and the
	// configuration in use in AlsoRuns, then every member without the Mover. WriteQuorum must then
	// be zero. False means that handoff is on where there is a Mover.
	Off bool
	// Parallel is how many calls of Receive, Release and Save run at a time, 1 to 1024. Zero
	// means 8.
	Parallel int
	// RetryAfter is the wait before a call that failed is made again, 1 ms to 1 hour. It
	// doubles with each failure, up to 32 times as long. Zero means 1 second.
	RetryAfter time.Duration
	// CallLimit is how long one call may take before its context ends, 1 ms to 1 week. Zero
	// means 10 minutes.
	CallLimit time.Duration
	// OverdueAfter is how long a partition may be moving before health has a problem, 1 ms to
	// 1 week. Nothing is given up. Zero means 1 minute.
	OverdueAfter time.Duration
}

// Journal keeps what a member knows of the data it holds, for members whose data survives a
// restart. With a journal, a process that starts again is not a new, empty owner, but the old
// one that was away: it owns at once, merges what it missed before it serves, and what it holds
// counts for other members as before. At a start, [Mover.Release] is called again for what had
// been released, in case that call was cut short.
//
// A journal must tell the truth about the data beside it:
//
//   - Keep both on one disk, and restore both or none.
//   - Never run two processes on a copy.
//   - To start empty, empty the journal too.
//
// What is saved is small: a few hundred bytes for each partition that the member holds, under
// at most PartitionCount + 2 keys of up to 20 letters, digits and dashes.
//
// Save is called from several goroutines, never two for one key, and with no lock held. When it
// returns an error, the call is made again. Until it succeeds, a new partition accepts no
// writes, and none is released.
type Journal interface {
	// Load returns all that is saved. [New] calls it once.
	Load() (map[string][]byte, error)
	// Save keeps a value in the place of the one there was. When it returns nil, the value is
	// as safe as a write that was acknowledged. It should return soon after the context ends.
	Save(ctx context.Context, key string, value []byte) error
}
