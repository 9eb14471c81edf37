package membership

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// awayOf returns one start of a NodeID that has announced that it is Away, with a grace of one
// minute.
func awayOf(id string, number, nonce uint64) Member {
	m := startOf(id, number, nonce)
	m.State, m.Grace = Away, time.Minute
	return m
}

func joiningOf(id string, number, nonce uint64) Member {
	m := startOf(id, number, nonce)
	m.State = Joining
	return m
}

// leaves makes a start announce that it is away, and leave.
func leaves(r *registry, m Member) {
	r.remove(record(r, m))
}

// told delivers the records of one registry to another registry.
func told(t testing.TB, from, to *registry) {
	t.Helper()
	all, err := parseAbsences(encodeAbsences(from.absenceRecords()))
	require.NoError(t, err)
	var records []absenceRecord
	for _, raw := range all {
		r, err := newAdmission(1, []string{"x"}).admitAbsence(raw)
		require.NoError(t, err)
		records = append(records, r)
	}
	to.learn(records, false)
}

// placed gives a member the address that records need.
func placed(m Member) Member {
	m.Addr, m.Configurations = metaAddr, []string{"x"}
	return m
}

func TestAbsenceKeepsThePlaceUntilItsGraceIsOver(t *testing.T) {
	c := newClock()
	r := newRegistry("me~0", c.now)
	record(r, startOf("a", 1, 1))
	leaves(r, awayOf("a", 1, 1))
	require.Equal(t, []string{"a joined", "a updated", "a updated"}, kinds(r.events.take()))
	m, found := r.member("a")
	require.True(t, found)
	require.Equal(t, c.at.Add(time.Minute), m.Until)
	_, found = r.reachable("a")
	require.False(t, found)
	require.Empty(t, r.others())
	require.Empty(t, r.failed(), "a member that is away is not looked for")

	c.advance(time.Minute - 1)
	r.endAbsences()
	members, _ := r.members()
	require.Len(t, members, 1)
	c.advance(1)
	r.endAbsences()
	members, _ = r.members()
	require.Empty(t, members)
	events := r.events.take()
	require.Equal(t, []string{"a failed"}, kinds(events))
	require.Equal(t, m, events[0].Before)
	require.Len(t, r.failed(), 1)
	require.Equal(t, uint64(1), r.stats().Failed)
}

func TestANewerStartTakesThePlaceWhenItIsActive(t *testing.T) {
	c := newClock()
	r := newRegistry("me~0", c.now)
	record(r, startOf("a", 1, 1))
	leaves(r, awayOf("a", 1, 1))
	r.events.take()
	c.advance(time.Second)

	name := record(r, joiningOf("a", 2, 2))
	require.Empty(t, r.events.take(), "a start that is joining changes nothing")
	m, _ := r.member("a")
	require.Equal(t, Away, m.State)
	m, _ = r.reachable("a")
	require.Equal(t, Joining, m.State)
	r.remove(name)
	require.Empty(t, r.events.take(), "and nothing when it goes")

	record(r, joiningOf("a", 3, 3))
	record(r, startOf("a", 3, 3))
	events := r.events.take()
	require.Equal(t, []string{"a rejoined"}, kinds(events))
	require.Equal(t, time.Second, events[0].Away)
	require.Equal(t, Away, events[0].Before.State)
	require.Equal(t, startOf("a", 3, 3), events[0].After)
	r.remove(gossipName("a", 3))
	require.Equal(t, []string{"a failed"}, kinds(r.events.take()), "the absence is over")
	c.advance(time.Hour)
	r.endAbsences()
	require.Empty(t, r.absences)
}

// A restart may arrive before the news of the leave.
func TestANewerStartComesBeforeTheLeaveIsNoticed(t *testing.T) {
	r := newRegistry("me~0", newClock().now)
	record(r, startOf("a", 1, 1))
	name := record(r, awayOf("a", 1, 1))
	r.events.take()
	record(r, joiningOf("a", 2, 2))
	require.Empty(t, r.events.take())
	record(r, startOf("a", 2, 2))
	require.Equal(t, []string{"a rejoined"}, kinds(r.events.take()))
	r.remove(name)
	require.Empty(t, r.events.take())
	require.Empty(t, r.absences)
}

func TestAStartThatIsAwayIsAliveAfterAll(t *testing.T) {
	r := newRegistry("me~0", newClock().now)
	leaves(r, awayOf("a", 1, 1))
	record(r, awayOf("a", 1, 1))
	m, _ := r.member("a")
	require.Zero(t, m.Until, "it has not left yet")
	require.Empty(t, r.absences)
}

func TestANewcomerLearnsOfAbsences(t *testing.T) {
	c := newClock()
	old, newcomer := newRegistry("old~0", c.now), newRegistry("new~0", c.now)
	leaves(old, placed(awayOf("a", 1, 1)))
	c.advance(20 * time.Second)
	told(t, old, newcomer)
	m, found := newcomer.member("a")
	require.True(t, found)
	require.Equal(t, c.at.Add(40*time.Second), m.Until)
	require.Equal(t, []string{"a joined"}, kinds(newcomer.events.take()))

	c.advance(time.Second)
	newcomer.absences["a"] = absence{member: m, since: c.at}
	_, version := newcomer.members()
	told(t, newcomer, old)
	m, _ = old.member("a")
	require.Equal(t, c.at.Add(39*time.Second), m.Until)
	_, same := newcomer.members()
	require.Equal(t, version, same)

	c.advance(39 * time.Second)
	old.endAbsences()
	_, found = old.member("a")
	require.False(t, found)
	told(t, newcomer, old)
	_, found = old.member("a")
	require.False(t, found, "an absence that is over does not begin again")
	told(t, old, newcomer)
	_, found = newcomer.member("a")
	require.False(t, found, "the end is told")
}

func TestWhatIsLearnedOfAbsences(t *testing.T) {
	for name, c := range map[string]struct {
		known func(r *registry) // changes the registry before the record arrives
		away  bool              // whether start 5 of member a is Away after another member reports that
	}{
		"nothing is known":                {func(*registry) {}, true},
		"it failed here, as across a cut": {func(r *registry) { r.remove(record(r, startOf("a", 5, 5))) }, true},
		"an earlier start failed":         {func(r *registry) { r.remove(record(r, startOf("a", 4, 4))) }, true},
		"an earlier start is alive":       {func(r *registry) { record(r, startOf("a", 4, 4)) }, true},
		"an earlier start is away":        {func(r *registry) { leaves(r, awayOf("a", 4, 4)) }, true},
		"a newer start is joining":        {func(r *registry) { record(r, joiningOf("a", 6, 6)) }, true},
		"it is alive":                     {func(r *registry) { record(r, startOf("a", 5, 5)) }, false},
		"a newer start is active":         {func(r *registry) { record(r, startOf("a", 6, 6)) }, false},
		"a newer start failed":            {func(r *registry) { r.remove(record(r, startOf("a", 6, 6))) }, false},
		"a newer start is away":           {func(r *registry) { leaves(r, awayOf("a", 6, 6)) }, false},
		"it was here, and its grace is over": {func(r *registry) {
			leaves(r, awayOf("a", 5, 5))
			r.expel(r.absences["a"])
		}, false},
		"it was here, and all records of its end are gone": {func(r *registry) {
			leaves(r, awayOf("a", 5, 5))
			r.expel(r.absences["a"])
			delete(r.absences, "a")
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			clock := newClock()
			r := newRegistry("me~0", clock.now)
			c.known(r)
			for range 2 {
				r.learn([]absenceRecord{{member: awayOf("a", 5, 5), remaining: time.Hour}}, false)
				m, _ := r.member("a")
				require.Equal(t, c.away, m.State == Away && m.Start.Number == 5)
				if c.away {
					require.Equal(t, clock.at.Add(time.Minute), m.Until, "no longer than its grace")
				}
			}
		})
	}
	r := newRegistry(gossipName("a", 5), newClock().now)
	r.learn([]absenceRecord{{member: awayOf("a", 5, 5), remaining: time.Minute}}, false)
	require.Empty(t, r.absences, "this process is not away")
}

// No number of exchanges prolongs an absence.
func TestNoExchangeProlongsAnAbsence(t *testing.T) {
	c := newClock()
	r := newRegistry("me~0", c.now)
	forged := absenceRecord{member: awayOf("a", 1, 1), remaining: time.Hour}
	forged.member.Grace = maxGrace
	for range int(maxGrace/time.Second) - 1 {
		r.learn([]absenceRecord{forged}, false)
		r.endAbsences()
		_, found := r.member("a")
		require.True(t, found)
		c.advance(time.Second)
	}
	for range 1000 {
		c.advance(time.Second)
		r.endAbsences()
		r.learn([]absenceRecord{forged}, false)
		_, found := r.member("a")
		require.False(t, found)
	}
}

func TestAbsencesAreBounded(t *testing.T) {
	c := newClock()
	one, other := newRegistry("me~0", c.now), newRegistry("you~0", c.now)
	ids := make([]int, maxAbsences+10)
	for i := range ids {
		ids[i] = i
	}
	for _, r := range []*registry{one, other} {
		rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
		for _, i := range ids {
			leaves(r, placed(awayOf(fmt.Sprintf("a%04d", i), 1, 1)))
		}
		members, _ := r.members()
		require.Len(t, members, maxAbsences)
		require.Equal(t, fmt.Sprintf("a%04d", maxAbsences-1), members[maxAbsences-1].ID)
	}
	require.LessOrEqual(t, len(encodeAbsences(one.absenceRecords())), maxAbsenceMessage)
	told(t, one, other)
	c.advance(time.Minute)
	one.endAbsences()
	for i := range 20 {
		leaves(one, placed(awayOf(fmt.Sprintf("b%04d", i), 1, 1)))
	}
	require.LessOrEqual(t, len(one.absences), 2*maxAbsences)
}

// Members that exchange their records end with equal lists of members. Each member may have seen
// different events before, and the exchanges may come in any order.
func TestAbsencesConverge(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 0))
		c := newClock()
		all := make([]*registry, 4)
		for i := range all {
			all[i] = newRegistry(fmt.Sprint("me~", i), c.now)
		}
		some := func(f func(*registry)) {
			for _, r := range all {
				if random.IntN(3) > 0 {
					f(r)
				}
			}
		}
		for start := uint64(1); start < 5; start++ {
			id := fmt.Sprint("a", random.IntN(2))
			m := placed(joiningOf(id, start, start))
			some(func(r *registry) { record(r, m) })
			for _, state := range []State{Active, Away} {
				if random.IntN(4) > 0 {
					if m.State = state; state == Away {
						m.Grace = time.Minute
					}
					some(func(r *registry) { record(r, m) })
				}
			}
			some(func(r *registry) { r.remove(memberName(m)) })
			c.advance(time.Duration(random.IntN(30)) * time.Second)
			for _, r := range all {
				r.endAbsences()
			}
			told(t, all[random.IntN(4)], all[random.IntN(4)])
		}
		// memberlist tells every member which starts are alive.
		alive := make(map[string]Member)
		for _, r := range all {
			for name, m := range r.alive {
				if known, ok := alive[name]; !ok || m.State != Joining && known.State != Away {
					alive[name] = m
				}
			}
		}
		for _, r := range all {
			for name, m := range alive {
				r.set(name, m)
			}
		}
		for range all {
			for _, from := range all {
				for _, to := range all {
					told(t, from, to)
				}
			}
		}
		want, _ := all[0].members()
		for _, r := range all {
			got, _ := r.members()
			require.True(t, slices.EqualFunc(want, got, equalMembers), "seed %d: %v and %v", seed, want, got)
			require.Equal(t, hashMembers(want, true), hashMembers(got, true), "seed %d", seed)
		}
	}
}
