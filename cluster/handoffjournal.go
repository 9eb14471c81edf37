package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Journal keeps what a member knows of the data it holds, for members whose data
// survives a restart. With one, a process that starts again is not a new, empty
// owner, but the old one that was away: it owns at once, catches up with what it
// missed before it serves, and what it holds counts for others as before.
//
// [Handoff.Release] is called again at a start for what had been released, in case that
// was cut short.
//
// It must tell the truth about the data beside it. Keep both on one disk and restore
// both or none; never run two processes on a copy; to start empty, empty the journal
// too. What is saved is small: a few hundred bytes a partition that the member holds,
// under at most PartitionCount + 2 keys of up to 20 letters, digits and dashes.
//
// Save is called from several goroutines, never two for one key, and with no lock
// held. An error is reported and the call is made again; until it succeeds a new
// partition accepts no writes, and none is released.
type Journal interface {
	// Load returns all that is saved. [New] calls it, once.
	Load() (map[string][]byte, error)
	// Save keeps a value, in the place of the one there was. When it returns nil that
	// is as safe as a write that was acknowledged. It should return soon after the
	// context ends.
	Save(ctx context.Context, key string, value []byte) error
}

// journalHead is what a journal says of the member itself.
type journalHead struct {
	Cluster    string `json:"cluster"`
	Node       string `json:"node"`
	Partitions int    `json:"partitions"`
	Origin     uint64 `json:"origin"` // the nonce of the start that the data goes back to
	Starts     uint64 `json:"starts"` // those since then
}

const (
	journalHeadKey   = "member"
	journalDeparted  = "departed"
	journalPartition = "partition-"

	// startsApart is how far the numbers of two starts of one origin lie apart, as
	// a power of two: fences and queries of an earlier one must not fit now.
	startsApart = 40
)

func journalKey(p int) string {
	if p == noPartition {
		return journalDeparted
	}
	return journalPartition + strconv.Itoa(p)
}

// journalState is a journal that was loaded.
type journalState struct {
	head     journalHead
	records  map[int]report // of the partitions that are or were held
	departed []process
}

// loadJournal reads a journal. One that holds nothing begins anew.
func loadJournal(s *settings) (*journalState, error) {
	j := s.HandoffOptions.Journal
	if j == nil {
		return nil, nil
	}
	all, err := j.Load()
	if err != nil {
		return nil, fmt.Errorf("cluster: loading the journal: %w", err)
	}
	mine := journalHead{Cluster: s.ClusterName, Node: s.NodeID, Partitions: s.PartitionCount}
	state := &journalState{head: mine, records: make(map[int]report)}
	for key, value := range all {
		if err := state.read(key, value, s.PartitionCount); err != nil {
			return nil, fmt.Errorf("cluster: the journal's %q: %w", key, err)
		}
	}
	if !state.restored() {
		for p := range state.records {
			state.records[p] = report{partition: p} // let go of in an earlier life
		}
		return state, nil
	}
	if err := json.Unmarshal(all[journalHeadKey], &state.head); err != nil {
		return nil, fmt.Errorf("cluster: the journal's %q: %w", journalHeadKey, err)
	}
	if theirs := state.head; theirs.Cluster != mine.Cluster || theirs.Node != mine.Node || theirs.Partitions != mine.Partitions || theirs.Origin == 0 {
		return nil, fmt.Errorf("cluster: the journal is of member %q of cluster %q with %d partitions, this is %q of %q with %d: "+
			"take the right one, or empty it and the data beside it",
			theirs.Node, theirs.Cluster, theirs.Partitions, mine.Node, mine.Cluster, mine.Partitions)
	}
	return state, nil
}

// read takes what a journal has under a key.
func (s *journalState) read(key string, value []byte, partitions int) error {
	if p, ok := strings.CutPrefix(key, journalPartition); ok {
		r, err := parseRecord(p, value, partitions)
		s.records[r.partition] = r
		return err
	}
	if key == journalDeparted {
		m, err := parseKind(value, partitions, handoffRecord)
		s.departed = m.departed
		return err
	}
	return nil
}

// restored reports whether there is data to go on with.
func (s *journalState) restored() bool {
	if s != nil {
		for _, r := range s.records {
			if r.is(recordHeld) {
				return true
			}
		}
	}
	return false
}

// begin notes that the member starts.
func (s *journalState) begin(ctx context.Context, j Journal, nonce uint64) error {
	if !s.restored() {
		s.head.Origin, s.head.Starts = nonce, 0
	}
	s.head.Starts++
	value, err := json.Marshal(s.head)
	if err == nil {
		err = j.Save(ctx, journalHeadKey, value)
	}
	if err != nil {
		return fmt.Errorf("cluster: saving to the journal: %w", err)
	}
	return nil
}

// What flags say in a record.
const (
	recordHeld = flagOffers // the partition is held; otherwise it once was
	recordLost = flagAsks   // and may have lost a write
)

// record is what a journal keeps of a partition: a message from a process to
// itself. Of what is let go it keeps in which sets the process served.
func (c *core) record(pt *part, holds bool) []byte {
	r := report{partition: pt.id, tenures: slices.Clone(c.tenures[pt.id])}
	if holds {
		r.flags, r.debts = recordHeld, slices.Clone(pt.debts)
		for _, owners := range pt.suspicions {
			r.tenures = append(r.tenures, tenure{owners, tenureOwed})
		}
	}
	if holds && pt.owner {
		r.tenures = append(r.tenures, tenure{ascending(pt.owners[:max(pt.serving, 1)]), tenureServing})
	}
	if holds && pt.lost {
		r.flags |= recordLost
	}
	return handoffMessage{kind: handoffRecord, to: c.self.start, reports: []report{r}}.bytes()
}

var errRecord = errors.New("cluster: malformed record")

// parseRecord reads a record. It never panics.
func parseRecord(p string, b []byte, partitions int) (report, error) {
	m, err := parseKind(b, partitions, handoffRecord)
	if err != nil || len(m.reports) != 1 || strconv.Itoa(m.reports[0].partition) != p {
		return report{}, errRecord
	}
	return m.reports[0], nil
}

// restore takes up what an earlier start of this process held. To the others it is
// the same process, that was away; so it owes those with whom it owned, for what it
// has missed.
func (c *core) restore(s *journalState) {
	c.durable, c.departed.all = true, s.departed
	c.fences, c.seq = s.head.Starts<<startsApart, s.head.Starts<<startsApart
	for p, r := range s.records {
		var serving, owed [][]process
		for _, t := range r.tenures {
			switch {
			case t.flags&tenureServing != 0:
				serving = append(serving, t.owners)
			case t.flags&tenureOwed != 0:
				owed = append(owed, t.owners)
			default:
				c.tenures[p] = append(c.tenures[p], t)
			}
		}
		if !r.is(recordHeld) {
			// The release may have been cut short.
			c.parts[p] = &part{id: p, holds: true, leftover: true, recorded: true, seen: make(map[process]report)}
			continue
		}
		c.fences++
		pt := &part{
			id: p, holds: true, fenced: true, recorded: true, resumed: len(serving) > 0, fence: c.fences, debts: r.debts,
			lost: r.is(recordLost), suspicions: owed, seen: make(map[process]report),
		}
		if c.safe.noRecords {
			pt.debts, serving = nil, nil
		}
		for _, with := range serving {
			if anew := (debt{owed: with}); !slices.Equal(with, []process{c.self}) {
				// What was merged from them was merged before it was away.
				pt.debts = slices.DeleteFunc(pt.debts, anew.same)
				pt.owe(anew)
			}
		}
		c.parts[p] = pt
	}
}

// unsaved reports whether the journal is to be told of a partition.
func (c *core) unsaved(pt *part) bool { return c.durable && pt.unrecorded && pt.holds }
