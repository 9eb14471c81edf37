package rebalance

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/ring/option"
)

// maxZones is the largest [Ordinal.Zones].
const maxZones = 16

// Ordinal places partitions on members whose IDs end in a number, as the pods of a
// Kubernetes StatefulSet do: orders-0 to orders-29. Members come and go at the end. Loads
// are equal up to one slot, and a change at the end moves only the slots that the member
// gains or loses. So does the loss of a member elsewhere, and of a second one.
//
// # How it works
//
// The strategy computes a table for all numbers from 0 to the highest, as if the members
// had joined in this order. Each takes its share from the members before it, and nothing
// else moves. The table depends on the highest number only, and not on history.
//
// Each slot of a number without a member, a hole, has a backup: another number, whose member takes
// the slot over. Backups are computed in the same order. A number is at first the backup of the
// slots that it gives to a later one, and later numbers take their shares of the backups.
// The holes have backups apart from each other, so that a second hole moves nothing of the first.
// Slots whose backup is a hole as well, or at its limit, go to members by a race as in [Balanced].
//
// With several zones each zone has one owner in every partition and a table of its own.
// Members are in blocks: with three zones, numbers 0 to 2 are block 0, numbers 3 to 5 are
// block 1. A block has at most one member of each zone, in any order. The zone of a missing
// member has no influence.
//
// # Conditions
//
//   - All members have one region and one weight.
//   - The members are in at most Zones zones, and a partition has at least as many owners.
//   - At most a quarter of the members have another name, or share block and zone with a
//     member of a lower number. These members take their share from the others.
//   - The highest number is less than 16 times the number of members.
//
// Where a condition does not hold, tables are those of [Balanced] with automatic slack.
// [Ordinal.Fits] says which one, and so does the health of a cluster. Most partitions move
// at the change at which a condition begins or ceases to hold.
//
// # Limits
//
//   - Holes: with 4096 partitions and up to 100 members the fullest member carries up to 4 % more than its
//     share with two holes, and 7 % with 40. With 1024 partitions two holes mean up to 6 %, which is
//     two slots, and the loss of the second member moves up to 1.2 times its slots.
//   - A change at the end moves up to 1.8 times its slots where the numbers just before it are missing,
//     and others too.
//   - Time: Assign takes about the time that it takes Balanced in one zone, and less in several. With a
//     hundred holes among a thousand members it takes twice as long, with four hundred four times. With
//     65,536 partitions and half of 2000 numbers missing it takes seconds.
//   - Slots beyond one in each zone, where partitions have more owners than there are zones,
//     are placed by a race. Loads differ by more than one slot, and a change at the end moves 1.1 to 1.4 times
//     the minimum in the mean, and 1.8 times at worst.
//   - Primaries are as even as those of Balanced, and move more: 1.1 to 1.4 times the
//     primaries that the member gets or loses, in the mean.
//
// Assign never fails for a valid Zones. The zero value is for IDs that are plain numbers,
// in one zone. A value is safe for concurrent use.
type Ordinal struct {
	// Prefix is what stands before the number in the ID of each member, such as
	// "orders-". The number is decimal, without a sign or leading zeros.
	Prefix string
	// Zones is the number of zones, from 1 to 16. Zero means 1. It counts the zones
	// of the complete cluster, also while one of them is down.
	Zones int
	// Version is the version of the algorithm: 1 or 2. Zero means 2. Version 1 is for the rolling
	// change from a release that had no other. Both versions give the same table where no
	// number is missing.
	Version int
}

// Name returns the algorithm's version, the prefix and the number of zones:
// "ordinal/2:orders-:zones=3". A hash stands for a prefix of more than 24 bytes, or with
// spaces, commas or other than printable ASCII.
func (o Ordinal) Name() string {
	prefix := o.Prefix
	if len(prefix) > 24 || strings.ContainsFunc(prefix, func(r rune) bool { return r <= ' ' || r == ',' || r > '~' }) {
		prefix = fmt.Sprintf("%016x", xxhash.Sum64String(prefix))
	}
	return fmt.Sprintf("ordinal/%d:%s:zones=%d", o.version(), prefix, cmp.Or(o.Zones, 1))
}

func (o Ordinal) version() int { return cmp.Or(o.Version, 2) }

// Validate returns an [option.Error] for every parameter that is out of bounds, joined.
func (o Ordinal) Validate() error {
	var zones error
	if o.Zones < 0 || o.Zones > maxZones {
		zones = &option.Error{Field: "Zones", Value: o.Zones, Bound: fmt.Sprintf("between 1 and %d, or 0 for 1", maxZones)}
	}
	return errors.Join(zones, checkVersion(o.Version, 2))
}

// Fits returns nil when the conditions of the strategy hold, and otherwise an error that
// says why it places as [Balanced] does. It takes time in proportion to the members.
func (o Ordinal) Fits(t ring.Topology) error {
	if _, err := o.seat(t, newLayout(t.Nodes)); err != nil {
		return fmt.Errorf("placed as Balanced places: %w", err)
	}
	return nil
}

// Assign implements [ring.RebalanceStrategy].
func (o Ordinal) Assign(t ring.Topology, table ring.Table) error {
	if err := o.Validate(); err != nil {
		return fmt.Errorf("rebalance: ordinal: %w", err)
	}
	layout := newLayout(t.Nodes)
	columns, misfit := o.seat(t, layout)
	if misfit != nil {
		return Balanced{Version: 1}.Assign(t, table)
	}
	orders := make([]permutation, len(t.Nodes))
	for i, n := range t.Nodes {
		orders[i] = newPermutation(n.ID)
	}
	f := newSeating(t, layout, orders, o.version())
	for i := range columns {
		if f.column(&columns[i], i); t.Stopped() {
			return errStopped()
		}
	}
	f.float()
	r := f.ranked(columns)
	primary := primaries(r, orders, ordinalPrimaries, t.Stopped)
	if t.Stopped() {
		return errStopped()
	}
	write(r, primary, table)
	return nil
}

// ordinalPrimaries is how far above its share the primaries of a member may be, in parts
// per thousand.
const ordinalPrimaries = slack(0)

// number returns the number at the end of an ID.
func (o Ordinal) number(id string) (n int, ok bool) {
	digits, ok := strings.CutPrefix(id, o.Prefix)
	if !ok || digits == "" || len(digits) > 9 || len(digits) > 1 && digits[0] == '0' {
		return 0, false
	}
	for _, d := range []byte(digits) {
		if d < '0' || d > '9' {
			return 0, false
		}
	}
	n, err := strconv.Atoi(digits)
	return n, err == nil
}
