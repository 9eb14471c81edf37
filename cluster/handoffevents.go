package cluster

import "time"

// progressInterval is how often progress is reported at most.
const progressInterval = time.Second

// handoffTold is what subscribers have been told.
type handoffTold struct {
	busy bool
	at   time.Time
	done uint64 // calls that had succeeded
}

// HandoffChange is how far this member is with moving partitions.
type HandoffChange struct {
	// Receiving, Releasing, Sharing, Received and Released are as in [HandoffState].
	Receiving, Releasing, Sharing int
	Received, Released            uint64
	// Partition and Err say, for HandoffFailed, which call failed and how. Partition
	// is -1 where the journal could not be told who has left the cluster.
	Partition int
	Err       error
}

// event makes an event. The lock is held.
func (h *handoffRun) event(kind EventKind, now time.Time, p int, err error) Event {
	return Event{Kind: kind, At: now, Handoff: &HandoffChange{
		Receiving: h.counts[standsReceiving], Releasing: h.counts[standsReleasing], Sharing: h.counts[standsSharing],
		Received: h.core.received, Released: h.core.released, Partition: p, Err: err,
	}}
}

// report tells subscribers what is new. The lock is held.
func (h *handoffRun) report(now time.Time) {
	busy := h.counts[standsReceiving]+h.counts[standsReleasing] > 0
	done := h.core.received + h.core.released
	switch {
	case busy && !h.told.busy:
		h.c.events.add(h.event(HandoffStarted, now, 0, nil))
	case !busy && h.told.busy:
		h.c.events.add(h.event(HandoffCompleted, now, 0, nil))
	case busy && done != h.told.done && now.Sub(h.told.at) >= progressInterval:
		h.c.events.add(h.event(HandoffProgressed, now, 0, nil))
	default:
		return
	}
	h.told.busy, h.told.at, h.told.done = busy, now, done
	if !busy {
		select {
		case h.c.advance <- struct{}{}: // joining may be over
		default:
		}
	}
}
