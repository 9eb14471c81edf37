// Package handoff decides which member merges which partition from which other
// members, when a merge is proven, and when a member may delete what it has. It is a
// state machine without a clock, a network, a lock or a goroutine.
//
// A [Machine] has one door in and one door out: [Machine.Step] takes an [Event] and
// returns [Effects]. The caller, called the driver, carries the effects out: it closes
// gates, sends messages, runs jobs, saves records and keeps time. Equal machines that are
// given equal events return equal effects.
//
// The machine has two layers. A partition is a small value that knows how this process
// stands with one partition; what it decides depends on itself and on its surroundings
// (which processes are alive, how many owners a partition has). The [Machine] is the
// layer above: it holds the partitions, and it has what concerns the whole process, which
// is the number of jobs at a time, the batching of messages and departure.
//
// The rules are, in short:
//
//   - A fence is a number. An owner takes a new one whenever the owners of the partition
//     change. Behind a fence no write is accepted that was meant for earlier owners.
//   - A new owner may lack writes that earlier owners accepted. It keeps a ledger of owner
//     sets, and it is ready when no set of the ledger is pending. A set is no longer
//     pending when so many of its members were merged from that no acknowledged write of
//     the set can be missing.
//   - A merge counts when its source, asked after the merge, is the same process with the
//     same fence as before.
//   - A former owner deletes what it has when every present owner has merged it as of the
//     last fence.
//   - When too few members of a pending set are left, the loss check looks for evidence
//     that nothing acknowledged is lost. Without evidence the partition is reported as
//     possibly lost, and the owner stays unready.
//
// docs/handoff.md has the model, with a scenario file of testdata for each rule.
package handoff
