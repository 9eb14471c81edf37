package handoff

// work says which partitions the machine must look at, and which wait to begin a job.
type work struct {
	queue   []*partition // partitions that the machine looks at in this step
	running int          // how many jobs run
	waiting []int        // partitions that have a job to begin when another ends
}

// wake puts a partition into the queue of this step.
func (w *work) wake(pt *partition) {
	if pt.stir(); !pt.queued {
		pt.queued = true
		w.queue = append(w.queue, pt)
	}
}

// mail is the content of the next batch of messages.
type mail struct {
	asking []int             // partitions to ask about
	notes  map[Process][]int // partitions to report to a process without a query
	armed  bool              // the timer of the batch
}

// ask puts queries about a partition into the next batch.
func (m *mail) ask(pt *partition, how asking) {
	if pt.asking < again {
		m.asking = append(m.asking, pt.id)
	}
	pt.asking = max(pt.asking, how)
}

// note puts a report about a partition to another process, without a query, into the next batch.
func (m *mail) note(to Process, partition int) {
	if m.notes == nil {
		m.notes = make(map[Process][]int)
	}
	m.notes[to] = append(m.notes[to], partition)
}
