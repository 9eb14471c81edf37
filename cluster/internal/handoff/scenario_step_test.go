package handoff

import (
	"maps"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"
)

// step gives a machine an event and carries out the effects.
func (s *scenario) step(p *member, e Event) {
	if s.defect != nil {
		s.defect(p.machine)
	}
	effects := p.machine.Step(e)
	for _, f := range effects.Fences {
		p.token, p.gate = f.Token, p.machine.parts[0].owners
		for x := range p.open {
			p.open[x] = true
		}
	}
	for _, send := range effects.Send {
		l := sent{p.Process, send.To, send.Message.Bytes(), words(send.Message)}
		if s.apart(l.from.ID, l.to.ID) {
			continue
		}
		s.queue = append(s.queue, l)
		s.say("%s->%s %s", word(l.from), word(l.to), l.words)
	}
	for _, id := range effects.Cancel {
		s.print("%s cancels job %d", word(p.Process), id)
	}
	for _, job := range effects.Start {
		p.jobs = append(p.jobs, job)
		if job.Kind == Release && p.disk != nil {
			p.disk.records[0] = job.Record // saved before anything is deleted
		}
		if job.Kind != Save {
			s.say("%s begins to %s", word(p.Process), p.job(job))
		}
	}
	for _, arm := range effects.Arm {
		p.timers[arm.Timer] = true
	}
	if len(effects.Fences) > 0 && len(p.open) == 0 {
		s.step(p, Drained{[]int{0}})
	}
	if s.prompt && p.timers[Timer{WholeProcess, Batch}] {
		s.fire(p, Batch)
	}
}

// say prints a line, except during settle.
func (s *scenario) say(format string, args ...any) {
	if !s.quiet {
		s.print(format, args...)
	}
}

// deliver delivers the messages from one process to another, or all messages on their way. With "query"
// or "answer" it delivers the last message of that kind, and earlier ones are lost. With "twice" the
// delivered messages also stay on their way.
func (s *scenario) deliver(a arguments) {
	for _, l := range s.take(a) {
		p := s.running[l.to.ID]
		if a.has("twice") {
			s.queue = append(s.queue, l)
		}
		if p == nil || p.Process != l.to {
			continue
		}
		m, err := ParseMessage(l.bytes, 1)
		require.NoError(s.t, err)
		s.step(p, Received{l.from, m})
	}
}

func (s *scenario) drop(a arguments) { s.take(a) }

// take removes messages that are on their way.
func (s *scenario) take(a arguments) (taken []sent) {
	var left []sent
	for _, l := range s.queue {
		if (a.has("query") || a.has("answer")) && !a.has(strings.FieldsFunc(l.words, func(r rune) bool { return r == ':' })[0]) {
			left = append(left, l)
			continue
		}
		if way := l.from.ID + "->" + l.to.ID; slices.Contains(a.names, way) || len(a.names) == 0 {
			taken = append(taken, l)
		} else {
			left = append(left, l)
		}
	}
	s.queue = left
	if (a.has("query") || a.has("answer")) && len(taken) > 1 {
		taken = taken[len(taken)-1:]
	}
	return taken
}

// copy lets the merge of a process read some of its sources now. The sources count toward the number that
// the merge needs.
func (s *scenario) copy(a arguments) {
	p := s.at(a.names[0])
	for _, id := range a.lists["from"] {
		p.copied++
		maps.Copy(p.data, s.at(id).data)
	}
	s.print("%s has read %s; it %s", word(p.Process), strings.Join(a.lists["from"], " "), p.writes())
}

// end ends the first job of a process. The job fails with "failed", or when it reaches fewer sources than
// it needs. A merge reads the sources in from, or all of its sources.
func (s *scenario) end(a arguments) {
	p := s.at(a.names[0])
	require.NotEmpty(s.t, p.jobs, "%s has no job", p.ID)
	job := p.jobs[0]
	p.jobs = p.jobs[1:]
	failed, got := a.has("failed"), p.copied
	p.copied = 0
	if job.Kind == Merge && !failed {
		for _, source := range job.Sources {
			from := s.running[source.ID]
			if list := a.lists["from"]; from == nil || s.apart(p.ID, source.ID) || list != nil && !slices.Contains(list, source.ID) {
				continue
			}
			maps.Copy(p.data, from.data) // the start of the source is not compared: the worst that the user's code may do
			got++
		}
		failed = got < job.Need
	}
	done := p.job(job)
	if failed {
		done += ", which fails"
	}
	if job.Kind == Merge {
		done += "; it " + p.writes()
	}
	if !s.quiet || job.Kind != Save {
		s.print("%s has done: %s", word(p.Process), done)
	}
	if !failed && p.disk != nil && job.Record != nil {
		p.disk.records[job.Partition] = job.Record
	}
	if job.Kind == Release && !failed {
		clear(p.data)
	}
	s.step(p, Ended{Partition: job.Partition, ID: job.ID, Failed: failed})
}

// timer makes timers of a process due.
func (s *scenario) timer(a arguments) {
	kinds := map[string]TimerKind{"batch": Batch, "announce": Announce, "ask": Ask, "patience": Patience, "retry": Retry}
	for _, name := range a.names[1:] {
		require.Contains(s.t, kinds, name)
		if !s.fire(s.at(a.names[0]), kinds[name]) {
			s.print("%s has no timer %s", a.names[0], name)
		}
	}
}

// fire makes the armed timers of a kind due.
func (s *scenario) fire(p *member, kind TimerKind) bool {
	due := Due{}
	for _, partition := range []int{0, WholeProcess} {
		if t := (Timer{partition, kind}); p.timers[t] {
			delete(p.timers, t)
			due.Timers = append(due.Timers, t)
		}
	}
	if len(due.Timers) > 0 {
		s.step(p, due)
	}
	return len(due.Timers) > 0
}

// settle delivers all messages, ends all jobs and makes timers due, until nothing changes any more.
// Patience timers stay armed. The merges and releases of the processes in hold do not end.
func (s *scenario) settle(a arguments) {
	s.quiet = true
	defer func() { s.quiet = false }()
	for unchanged := 0; unchanged < 2; unchanged++ {
		before := s.standings()
		for _, p := range s.sorted() {
			for _, kind := range []TimerKind{Ask, Announce, Retry} {
				s.fire(p, kind)
			}
		}
		rounds := 0
		for s.round(a.lists["hold"]) {
			rounds++
			require.Less(s.t, rounds, 100, "it does not settle")
		}
		if before != s.standings() {
			unchanged = -1
		}
	}
}

// round delivers the messages on their way, ends the running jobs, and sends the next batch.
func (s *scenario) round(hold []string) (busy bool) {
	busy = len(s.queue) > 0
	s.deliver(arguments{})
	for _, p := range s.sorted() {
		if len(p.jobs) > 0 && (p.jobs[0].Kind == Save || !slices.Contains(hold, p.ID)) {
			busy = true
			s.end(arguments{names: []string{p.ID}})
		}
	}
	for _, p := range s.sorted() {
		busy = s.fire(p, Batch) || busy
	}
	return busy
}
