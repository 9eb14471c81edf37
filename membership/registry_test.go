package membership

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// clock is a time that tests set.
type clock struct{ at time.Time }

func newClock() *clock { return &clock{at: time.Unix(1_700_000_000, 0)} }

func (c *clock) now() time.Time          { return c.at }
func (c *clock) advance(d time.Duration) { c.at = c.at.Add(d) }

// startOf returns one start of a NodeID that is Active.
func startOf(id string, number, nonce uint64) Member {
	return Member{ID: id, Weight: 1, PartitionCount: 1, State: Active, Start: Start{Number: number, Nonce: nonce}}
}

func record(r *registry, m Member) string {
	name := gossipName(m.ID, m.Start.Nonce)
	r.set(name, m)
	return name
}

func kinds(events []event) (all []string) {
	for _, e := range events {
		all = append(all, e.ID+" "+e.Kind.String())
	}
	return all
}

func TestRegistryStory(t *testing.T) {
	c := newClock()
	r := newRegistry("me~0", c.now)
	a := record(r, startOf("a", 1, 1))
	require.Equal(t, []string{"a joined"}, kinds(r.events.take()))
	_, version := r.members()
	record(r, startOf("a", 1, 1))
	require.Empty(t, r.events.take(), "nothing new is no news")
	_, same := r.members()
	require.Equal(t, version, same)

	leaving := startOf("a", 1, 1)
	leaving.State = Leaving
	leaving.Metadata = map[string]string{"last": "words"}
	r.set(a, leaving)
	r.set(a, leaving)
	r.remove(a)
	r.remove(a)
	c.advance(time.Minute)
	record(r, startOf("a", 2, 2))
	events := r.events.take()
	require.Equal(t, []string{"a leaving", "a left", "a rejoined"}, kinds(events))
	require.Equal(t, startOf("a", 1, 1), events[0].Before)
	require.Equal(t, leaving, events[0].After)
	require.Equal(t, leaving, events[1].Before)
	require.Empty(t, events[1].After.ID)
	require.Equal(t, leaving, events[2].Before)
	require.Equal(t, startOf("a", 2, 2), events[2].After)
	require.Equal(t, time.Minute, events[2].Away)
	require.Equal(t, c.at, events[2].At)
	require.Empty(t, r.failed(), "who left is not missed")

	r.remove(gossipName("a", 2))
	require.Equal(t, []string{"a failed"}, kinds(r.events.take()))
	require.Equal(t, []Member{startOf("a", 2, 2)}, r.failed())
	_, found := r.member("a")
	require.False(t, found)
	record(r, startOf("a", 3, 3))
	require.Empty(t, r.failed(), "it is back")
	record(r, startOf("a", 3, 3))
	require.Equal(t, []string{"a rejoined"}, kinds(r.events.take()))
}

func TestTheNewestStartSpeaks(t *testing.T) {
	c := newClock()
	r := newRegistry(gossipName("a", 1), c.now)
	record(r, startOf("a", 10, 1))
	record(r, startOf("b", 1, 9))
	r.events.take()

	newer := record(r, startOf("a", 11, 2))
	events := r.events.take()
	require.Equal(t, []string{"a rejoined"}, kinds(events))
	require.Zero(t, events[0].Away, "it was never gone")
	require.Equal(t, startOf("a", 10, 1), events[0].Before)
	older := record(r, startOf("a", 9, 3))
	tied := record(r, startOf("a", 10, 0))
	require.Empty(t, r.events.take(), "who has no say is no news")
	got, _ := r.members()
	require.Equal(t, []Member{startOf("a", 11, 2), startOf("b", 1, 9)}, got)
	require.Equal(t, []Member{startOf("a", 11, 2), startOf("a", 10, 0), startOf("a", 9, 3)}, r.rivals("a"), "newest first, without us")
	require.Len(t, r.others(), 4, "all processes there are to talk to")

	r.remove(newer)
	events = r.events.take()
	require.Equal(t, []string{"a rejoined"}, kinds(events))
	require.Equal(t, startOf("a", 10, 1), events[0].After, "the tie goes to the higher nonce, us")
	r.remove(gossipName("a", 1))
	r.remove(tied)
	r.remove(older)
	require.Equal(t, []string{"a rejoined", "a rejoined", "a failed"}, kinds(r.events.take()))
	require.Empty(t, r.rivals("a"))
}

func TestTheRegistryForgets(t *testing.T) {
	c := newClock()
	r := newRegistry("me~0", c.now)
	for i := range maxDeparted + 10 {
		r.remove(record(r, startOf(fmt.Sprint("n", i), 1, 1)))
		c.advance(time.Second)
	}
	require.Len(t, r.failed(), maxDeparted)
	r.events.take()
	record(r, startOf("n0", 2, 2))
	record(r, startOf(fmt.Sprint("n", maxDeparted+9), 2, 2))
	require.Equal(t, []string{"n0 joined", fmt.Sprint("n", maxDeparted+9, " rejoined")}, kinds(r.events.take()), "the oldest is forgotten")
}

// All members end with the same sorted list, whatever the order in which gossip delivers the
// announcements. Each event of a member begins with the start with which its previous event ended.
func TestRegistryDoesNotDependOnOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var said []Member
		for i := range rapid.IntRange(1, 12).Draw(t, "starts") {
			id := string(rune('a' + rapid.IntRange(0, 3).Draw(t, "id")))
			said = append(said, startOf(id, uint64(rapid.IntRange(1, 3).Draw(t, "number")), uint64(i)))
		}
		seed := rapid.Uint64().Draw(t, "seed")
		random := rand.New(rand.NewPCG(seed, 0))
		var lists [][]Member
		for range 3 {
			r := newRegistry("me~0", newClock().now)
			random.Shuffle(len(said), func(i, j int) { said[i], said[j] = said[j], said[i] })
			for _, m := range said {
				record(r, m)
				if random.IntN(3) == 0 { // the start is declared dead by mistake
					r.remove(gossipName(m.ID, m.Start.Nonce))
					record(r, m)
				}
			}
			last := make(map[string]Member)
			for _, e := range r.events.take() {
				if e.Before.Start != last[e.ID].Start {
					t.Fatalf("event %v of %s begins with %v, the last ended with %v, seed %d", e.Kind, e.ID, e.Before.Start, last[e.ID].Start, seed)
				}
				if last[e.ID] = e.After; e.After.ID == "" {
					last[e.ID] = e.Before
				}
			}
			list, _ := r.members()
			if !slices.IsSortedFunc(list, func(a, b Member) int { return strings.Compare(a.ID, b.ID) }) {
				t.Fatalf("not sorted, seed %d: %v", seed, list)
			}
			lists = append(lists, list)
		}
		for _, list := range lists[1:] {
			if !slices.EqualFunc(list, lists[0], equalMembers) {
				t.Fatalf("%v and %v, seed %d", lists[0], list, seed)
			}
		}
	})
}

// failed returns the members that were lost and are not back.
func (r *registry) failed() []Member {
	var lost []Member
	for _, d := range r.lostMembers() {
		lost = append(lost, d.member)
	}
	return lost
}
