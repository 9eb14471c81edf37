// Package tether decides which members a member watches over open streams, and when such a member
// has died. It is a state machine without sockets and without a clock: [Machine.Step] takes an event
// and the time, and returns actions for the caller.
//
// The members form a circle, in the order of the hashes of their gossip names. Each member holds a
// stream, called a tether, to each of its next members. The operating system closes a tether when
// the process at its other end dies. The holder then examines that member:
//
//   - It dials the member again and pings it at the same time.
//   - Only an answer of the same start shows that the member lives. An answered ping or a connection
//     without an answer ends the examination without a finding.
//   - The finding is [Gone] when the last dial is refused, or another start answers it, and all pings
//     were unanswered. It is [Silent] when no dial and no ping had any answer.
//
// A holder tells the other holders of that member its finding, as a claim. A member is dead when
// enough holders agree. A claim never replaces the evidence of the member itself: it makes that
// member examine that start.
//
// News of a death may be lost. A member that learns that another one believes a start dead examines
// that start itself, and needs no further claim.
//
// A silent start is suspected before it is dead. Members that the holders of its tethers do not know to be
// cut off from it may reach it, and pass on its refutation.
//
// A member that refutes the suspicion, or comes back after an examination had a finding about it, shows
// that the network misled the examiner. The examiner distrusts it: for some minutes no examination of it
// has a finding. A member that comes back after gossip declared it dead, or that failed together with
// several others, as in a partition, is examined as before.
package tether
