package cluster_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring"
)

// lateWrite is a write whose requests reach the owners one by one.
type lateWrite struct {
	key     string
	version int
	place   ring.Placement // the placement by which the write was sent
	took    map[string]bool
}

func newLateWrite(by *cluster.Cluster, key string, version int) *lateWrite {
	return &lateWrite{key, version, by.Lookup(key), make(map[string]bool)}
}

// arrive delivers the request to a process of an owner, and returns why the process refused
// it.
func (w *lateWrite) arrive(at *cluster.Cluster, s *store) error {
	done, err := at.Handoff().Admit(w.place.Partition(), w.place.Token())
	if err != nil {
		return err
	}
	defer done()
	s.merge(w.place.Partition(), map[string]int{w.key: w.version})
	w.took[at.Local().ID] = true
	return nil
}

// acknowledged reports whether the writer has acknowledged the write.
func (w *lateWrite) acknowledged() bool {
	return ring.Writers(w.place).Enough(0, func(id string) bool { return w.took[id] })
}

// A write request is on its way for longer than an owner takes to start again, empty. Then no
// owner accepts it, because acknowledgements of an earlier start and of a later one must not be
// counted together.
func TestAWriteRequestThatIsOlderThanARestart(t *testing.T) {
	for _, factor := range []int{2, 3} {
		inBubble(t, func(t *testing.T, b *testNet) {
			sh, members, stores := newShelf(), make(map[string]*cluster.Cluster), make(map[string]*store)
			start := func(i int, with ...edit) {
				c, s := b.startStore(sh, i, append(with, func(o *cluster.Options) { o.ReplicationFactor = factor })...)
				members[c.Local().ID], stores[c.Local().ID] = c, s
			}
			for i := 1; i <= factor; i++ {
				start(i)
			}
			all := func() (list []*cluster.Cluster) {
				for i := range factor {
					list = append(list, members[fmt.Sprint("n", i+1)])
				}
				return list
			}
			b.still(all()...)
			var writes []*lateWrite
			for i := range 20 {
				w := newLateWrite(members["n1"], fmt.Sprint("key ", i), i+1)
				require.NoError(t, w.arrive(members["n2"], stores["n2"]))
				require.False(t, w.acknowledged())
				writes = append(writes, w)
			}
			b.net.Crash(addrPort(2))
			start(2, func(o *cluster.Options) { o.GossipAddr = gossipAddr(9) })
			b.await("all know the new start, which owns", func() bool {
				for _, c := range all() {
					if n, _ := c.Ring().Node("n2"); n.Start != members["n2"].Local().Start.Nonce {
						return false
					}
				}
				return true
			})
			b.still(all()...)
			for _, w := range writes {
				require.True(t, received(members["n2"], w.place.Partition()))
				require.NotEqual(t, w.place.Token(), members["n1"].Lookup(w.key).Token())
				for _, c := range all() {
					var differ *cluster.TokenError
					require.ErrorAs(t, w.arrive(c, stores[c.Local().ID]), &differ, "RF %d, %s", factor, c.Local().ID)
				}
				require.False(t, w.acknowledged())
				put(t, stores, members, members["n1"], w.key, w.version) // as a writer must after a TokenError
			}
		})
	}
}

// A start with the data of the start before it is the same owner: it accepts writes that were
// sent before it.
func TestAWriteRequestThatIsOlderThanARestartWithData(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		h := newHouse(b)
		two := func(o *cluster.Options) { o.ReplicationFactor = 2 }
		h.turnOn(1, two)
		h.turnOn(2, two)
		h.complete(0)
		w := newLateWrite(h.members["n1"], "key", 1)
		require.NoError(t, w.arrive(h.members["n2"], h.stores["n2"]))
		start := h.members["n2"].Local().Start
		h.turnOff(2)
		h.turnOn(2, two)
		h.complete(0)
		require.NotEqual(t, start, h.members["n2"].Local().Start)
		require.NoError(t, w.arrive(h.members["n1"], h.stores["n1"]))
		require.True(t, w.acknowledged())
		require.Equal(t, 1, h.stores["n2"].copy(w.place.Partition())["key"])
	})
}

// Only the write quorum changes, in the rounds of the documentation, while all members keep their
// data and own the same partitions. No owner accepts a write, or admits a read, that counts with
// the old quorum.
func TestAWriteQuorumChangesAlone(t *testing.T) {
	for _, change := range [][2]int{{2, 3}, {3, 2}} {
		from, to := change[0], change[1]
		t.Run(fmt.Sprintf("%d to %d", from, to), func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *testNet) {
				h := newHouse(b)
				with := func(w int, also ...int) edit {
					return func(o *cluster.Options) {
						o.Handoff.WriteQuorum = w
						for _, a := range also {
							o.AlsoRuns = append(o.AlsoRuns, cluster.Configuration{WriteQuorum: a})
						}
					}
				}
				for i := 1; i <= 3; i++ {
					h.turnOn(i, with(from))
				}
				settle := func() {
					h.await("all own", func() bool {
						for _, c := range h.members {
							if c.Local().State != membership.Active {
								return false
							}
						}
						return true
					})
					h.still(h.all()...)
				}
				settle()
				var writes, late []*lateWrite
				for i := range 40 {
					w := newLateWrite(h.members["n1"], fmt.Sprint("key ", i), i+1)
					for j := range from {
						id := fmt.Sprint("n", 1+(i+j)%3)
						require.NoError(t, w.arrive(h.members[id], h.stores[id]))
					}
					require.True(t, w.acknowledged())
					writes = append(writes, w)
					w = newLateWrite(h.members["n1"], fmt.Sprint("late ", i), i+1)
					require.NoError(t, w.arrive(h.members["n1"], h.stores["n1"]))
					require.False(t, w.acknowledged())
					late = append(late, w)
				}
				roll := func(with edit) {
					for i := 1; i <= 3; i++ {
						h.turnOff(i)
						h.turnOn(i, with)
						settle()
					}
				}
				check := func() {
					for _, w := range writes {
						behind, p := 0, h.members["n2"].Lookup(w.key)
						for id, c := range h.members {
							require.NoError(t, c.Handoff().Serve(p.Partition(), p.Token()))
							if h.stores[id].copy(p.Partition())[w.key] < w.version {
								behind++
							}
						}
						require.LessOrEqual(t, behind, 3-to, w.key)
					}
				}
				roll(with(to, from))
				for _, w := range late {
					for id, c := range h.members {
						var differ *cluster.TokenError
						require.ErrorAs(t, w.arrive(c, h.stores[id]), &differ)
						require.ErrorAs(t, c.Handoff().Serve(w.place.Partition(), w.place.Token()), &differ)
					}
					require.False(t, w.acknowledged())
				}
				check()
				roll(with(to))
				check()
				require.Equal(t, to, h.members["n3"].Handoff().WriteQuorum())
			})
		})
	}
}
