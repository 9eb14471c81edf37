package handoff

// work is what partitions are to do.
type work struct {
	queue   []*partition // to look at
	running int          // jobs
	waiting []int        // partitions that have a job to begin when another ends
}

// wake has a partition looked at in this step.
func (w *work) wake(pt *partition) {
	if !pt.queued {
		pt.queued = true
		w.queue = append(w.queue, pt)
	}
}

// mail is what is to be sent with the next batch of messages.
type mail struct {
	asking []int             // partitions that ask
	notes  map[Process][]int // partitions that a process is told about, unasked
	armed  bool              // the timer of the batch
}

// ask has a partition ask with the next batch.
func (m *mail) ask(pt *partition, how asking) {
	if pt.asking < again {
		m.asking = append(m.asking, pt.id)
	}
	pt.asking = max(pt.asking, how)
}

// note has another process told, unasked, how this process stands with a partition.
func (m *mail) note(to Process, partition int) {
	if m.notes == nil {
		m.notes = make(map[Process][]int)
	}
	m.notes[to] = append(m.notes[to], partition)
}
