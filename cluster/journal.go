package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/clusterkit/clusterkit/cluster/internal/handoff"
	"github.com/clusterkit/clusterkit/membership/usercode"
)

// journalHead is the record of a journal about the member itself.
type journalHead struct {
	Cluster    string `json:"cluster"`
	Node       string `json:"node"`
	Partitions int    `json:"partitions"`
	Origin     uint64 `json:"origin"` // the nonce of the start that the data goes back to
	Starts     uint64 `json:"starts"` // the number of starts that wrote this journal
}

const (
	journalHeadKey   = "member"
	journalDeparted  = "departed"
	journalPartition = "partition-"
)

func journalKey(p int) string {
	if p == handoff.WholeProcess {
		return journalDeparted
	}
	return journalPartition + strconv.Itoa(p)
}

// journalState is a journal that was loaded.
type journalState struct {
	head     journalHead
	records  []handoff.Record // the records of partitions that are or were held, in ascending order
	departed []handoff.Process
	since    uint64            // records from before this number do not count
	digest   [sha256.Size]byte // of what was loaded
}

// loadJournal reads a journal. With an empty journal the member is a new, empty owner.
func loadJournal(s *settings) (*journalState, error) {
	j := s.Handoff.Journal
	if j == nil {
		return nil, nil
	}
	all, err := readJournal(s.Logger, j)
	if err != nil {
		return nil, err
	}
	state := &journalState{head: journalHead{Cluster: s.ClusterName, Node: s.NodeID, Partitions: s.PartitionCount}, digest: digestOf(all)}
	// A journal of another member is named as such, and not by one of its records that this member
	// cannot read. That is so also where nothing is held: its records tell this member to release.
	if err := state.identify(all[journalHeadKey]); err != nil {
		return nil, err
	}
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if err := state.read(key, all[key], s.PartitionCount); err != nil {
			return nil, unreadable(key, err)
		}
	}
	// Partitions of records from before handoff was turned off are neither held here nor to be
	// released.
	state.records = slices.DeleteFunc(state.records, func(r handoff.Record) bool { return r.Before(state.since) })
	slices.SortFunc(state.records, func(a, b handoff.Record) int { return a.Partition() - b.Partition() })
	switch {
	case !state.restored():
		for i, r := range state.records {
			state.records[i] = r.Released() // the records of an earlier process
		}
		// The fences of this process come after those of earlier processes, so head.Starts stays.
		state.head.Origin = 0
	case state.head.Origin == 0:
		return nil, unreadable(journalHeadKey, errors.New("missing, or without an origin"))
	}
	return state, nil
}

// readJournal returns what a journal has, without keys that are not of this package.
func readJournal(log *slog.Logger, j Journal) (all map[string][]byte, err error) {
	if err := usercode.Call(func() (err error) { all, err = j.Load(); return err }); err != nil {
		logPanic(log, err)
		return nil, fmt.Errorf("cluster: loading the journal: %w", err)
	}
	all = maps.Clone(all)
	maps.DeleteFunc(all, func(key string, _ []byte) bool {
		return key != journalHeadKey && key != journalDeparted && !strings.HasPrefix(key, journalPartition)
	})
	return all, nil
}

func digestOf(all map[string][]byte) (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, key := range slices.Sorted(maps.Keys(all)) {
		_, _ = fmt.Fprintf(h, "%q %d ", key, len(all[key])) // a hash returns no error
		_, _ = h.Write(all[key])
	}
	h.Sum(sum[:0])
	return sum
}

// unchanged returns an error when a journal differs from the one that New has read. The records that New has read
// then do not match the data any more: partitions may have been released since.
func (s *journalState) unchanged(log *slog.Logger, j Journal) error {
	all, err := readJournal(log, j)
	if err == nil && digestOf(all) != s.digest {
		err = errors.New("cluster: the journal has changed since New, as another Cluster has used it: stop that one, and only then call New")
	}
	return err
}

// identify reads the record of the member itself, if there is one, and requires that it is this member.
func (s *journalState) identify(value []byte) error {
	if value == nil {
		return nil
	}
	mine := s.head
	if err := json.Unmarshal(value, &s.head); err != nil {
		return unreadable(journalHeadKey, err)
	}
	if theirs := s.head; theirs.Cluster != mine.Cluster || theirs.Node != mine.Node || theirs.Partitions != mine.Partitions {
		return fmt.Errorf("cluster: the journal is of member %q of cluster %q with %d partitions, this is %q of %q with %d: "+
			"take the right journal, or empty it and the data beside it",
			theirs.Node, theirs.Cluster, theirs.Partitions, mine.Node, mine.Cluster, mine.Partitions)
	}
	return nil
}

// unreadable is the error of a key of the journal that this program cannot read.
func unreadable(key string, err error) error {
	return fmt.Errorf("cluster: the journal's %q: %w: start the version of the program that wrote it, "+
		"restore the journal and the data beside it from one backup, or empty both", key, err)
}

// read decodes the value of one key of a journal.
func (s *journalState) read(key string, value []byte, partitions int) (err error) {
	if key == journalDeparted {
		s.departed, s.since, err = handoff.ParseDeparted(value)
		return err
	}
	if number, ok := strings.CutPrefix(key, journalPartition); ok {
		p, err := strconv.Atoi(number)
		if err != nil || journalKey(p) != key {
			return errors.New("not a partition")
		}
		r, err := handoff.ParseRecord(value, p, partitions)
		if err != nil {
			return err
		}
		s.records = append(s.records, r)
	}
	return nil
}

// restored reports whether the journal belongs to data of an earlier process.
func (s *journalState) restored() bool {
	return s != nil && slices.ContainsFunc(s.records, handoff.Record.Held)
}

// begin saves that the member starts.
func (s *journalState) begin(ctx context.Context, log *slog.Logger, j Journal, nonce uint64) error {
	if !s.restored() {
		s.head.Origin = nonce
	}
	s.head.Starts++
	value, err := json.Marshal(s.head)
	if err == nil {
		err = usercode.Call(func() error { return j.Save(ctx, journalHeadKey, value) })
	}
	if err != nil {
		logPanic(log, err)
		return fmt.Errorf("cluster: saving to the journal: %w", err)
	}
	return nil
}
