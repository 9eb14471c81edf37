package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/transport/api"
)

// book is a journal on a disk that survives its process.
type book struct {
	mu    sync.Mutex
	pages map[string][]byte
	fault func(key string) error
}

func newBook() *book { return &book{pages: make(map[string][]byte)} }

func (b *book) Load() (map[string][]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.pages), nil
}

func (b *book) Save(_ context.Context, key string, value []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fault != nil {
		if err := b.fault(key); err != nil {
			return err
		}
	}
	b.pages[key] = slices.Clone(value)
	return nil
}

// house is a few members with disks.
type house struct {
	*testNet
	shelf   *shelf
	members map[string]*cluster.Cluster
	stores  map[string]*store
	books   map[int]*book
}

func newHouse(b *testNet) *house {
	return &house{testNet: b, shelf: newShelf(), members: make(map[string]*cluster.Cluster), stores: make(map[string]*store), books: make(map[int]*book)}
}

// turnOn starts member i with the data on its disk.
func (h *house) turnOn(i int, edits ...edit) {
	id := fmt.Sprint("n", i)
	s, j := h.stores[id], h.books[i]
	if s == nil {
		s, j = h.shelf.make(), newBook()
		h.stores[id], h.books[i] = s, j
	}
	h.members[id] = h.startWith(s, i, append([]edit{func(o *cluster.Options) { o.Handoff.Journal = j }}, edits...)...)
}

// turnOff ends member i at once; the data on its disk stays.
func (h *house) turnOff(i int) {
	c := h.members[fmt.Sprint("n", i)]
	delete(h.members, c.Local().ID)
	h.net.Crash(addrPort(i))
	h.shelf.mu.Lock()
	delete(h.shelf.stores, c.Local().Start.Nonce)
	h.shelf.mu.Unlock()
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_ = c.Stop(ended)
}

func (h *house) all() []*cluster.Cluster {
	return slices.Collect(maps.Values(h.members))
}

// complete requires that all owners are ready, and that no read quorum misses one of
// the keys.
func (h *house) complete(keys int) {
	h.await("all own", func() bool {
		return !slices.ContainsFunc(h.all(), func(c *cluster.Cluster) bool { return c.Local().State != membership.Active })
	})
	h.still(h.all()...)
	for i := range keys {
		p := h.all()[0].Lookup(fmt.Sprint(i))
		lacking := 0
		for _, o := range p.All() {
			require.NoError(h.t, h.members[o.ID()].Handoff().Serve(p.Partition(), p.Token()))
			if h.stores[o.ID()].copy(p.Partition())[fmt.Sprint(i)] != i+1 {
				lacking++
			}
		}
		require.LessOrEqual(h.t, lacking, 1, "key %d", i)
	}
	for _, c := range h.all() {
		require.Empty(h.t, c.Handoff().State().Lost)
		require.NotContains(h.t, problems(c), api.ProblemPossibleLoss)
	}
}

// Members whose data survives continue with it, when two of three owners were away, and
// when all were.
func TestJournalAfterAnOutage(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		h := newHouse(b)
		together := func(o *cluster.Options) { o.Bootstrap.MinMembers = 3 }
		for i := 1; i <= 5; i++ {
			h.turnOn(i, func(o *cluster.Options) { o.Bootstrap.MinMembers = 1 })
		}
		h.still(h.all()...)
		const keys = 60
		for i := range keys {
			put(t, h.stores, h.members, h.members["n1"], fmt.Sprint(i), i+1)
		}
		h.complete(keys)

		for _, i := range []int{2, 4} {
			h.turnOff(i)
		}
		b.await("they are missed", func() bool { return len(h.members["n1"].Members()) == 3 })
		b.await("what they had is missed", func() bool { return len(h.members["n1"].Handoff().State().Lost) > 0 })
		for _, i := range []int{2, 4} {
			h.turnOn(i)
		}
		h.complete(keys)
		require.NotZero(t, h.members["n2"].Local().Origin)

		for i := 1; i <= 5; i++ {
			h.turnOff(i)
		}
		time.Sleep(time.Minute) // virtual
		for i := 1; i <= 5; i++ {
			h.turnOn(i, together)
		}
		h.complete(keys)
	})
}

// A member that drained and released all data starts again as a new, empty owner.
func TestJournalAfterADrain(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		h := newHouse(b)
		for i := 1; i <= 4; i++ {
			h.turnOn(i)
		}
		h.still(h.all()...)
		require.NoError(t, h.members["n4"].Drain(within(t, patience)))
		h.turnOff(4)
		h.still(h.all()...)
		h.turnOn(4)
		require.Zero(t, h.members["n4"].Local().Origin)
		h.complete(0)
	})
}

// A cluster that was made while another one used the journal does not start: its records are of data that the other one
// may have released since. Keys of the service's own may change.
func TestAJournalThatIsUsedBetweenNewAndStart(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		h := newHouse(b)
		for i := 1; i <= 4; i++ {
			h.turnOn(i)
		}
		h.still(h.all()...)
		early := b.make(4, func(o *cluster.Options) { o.Handoff.Mover, o.Handoff.Journal = h.stores["n4"], h.books[4] })
		require.NoError(t, h.members["n4"].Drain(within(t, patience)))
		h.turnOff(4)
		require.EqualError(t, early.Start(t.Context()),
			"cluster: the journal has changed since New, as another Cluster has used it: stop that one, and only then call New")
		late := b.make(4, func(o *cluster.Options) { o.Handoff.Mover, o.Handoff.Journal = h.stores["n4"], h.books[4] })
		h.books[4].pages["of the service"] = []byte("1")
		require.NoError(t, late.Start(t.Context()))
		require.Zero(t, late.Local().Origin)
	})
}

// A partition that the journal has not saved accepts no writes, and while the journal
// cannot save a release, the partition is not released.
func TestJournalThatFails(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		h := newHouse(b)
		for i := 1; i <= 3; i++ {
			h.turnOn(i)
		}
		h.still(h.all()...)
		full := errors.New("disk full")
		h.books[4] = newBook()
		h.stores["n4"] = &store{shelf: h.shelf, data: make(map[int]map[string]int), released: make(map[int]int)}
		h.books[4].fault = func(key string) error {
			if key == "member" {
				return nil
			}
			return full
		}
		h.turnOn(4)
		c := h.members["n4"]
		b.await("it fails", func() bool { return c.Handoff().State().Failed > 0 })
		for p := range c.Ring().PartitionCount() {
			place := c.Ring().Placement(p)
			if !place.Target().Owns("n4") {
				continue
			}
			_, err := c.Handoff().Admit(p, place.Token())
			require.ErrorIs(t, err, cluster.ErrFenced)
			require.False(t, received(c, p))
		}
		require.Equal(t, membership.Joining, c.Local().State)
		h.books[4].mu.Lock()
		h.books[4].fault = nil
		h.books[4].mu.Unlock()
		h.complete(0)

		h.books[4].mu.Lock()
		h.books[4].fault = func(string) error { return full }
		h.books[4].mu.Unlock()
		err := c.Drain(within(t, patience))
		var left *cluster.NotHandedOverError
		require.ErrorAs(t, err, &left)
		require.Empty(t, h.stores["n4"].released)
	})
}

// wrong is a journal that cannot be used.
type wrong struct {
	book
	err error
}

func (w *wrong) Load() (map[string][]byte, error) { return w.pages, w.err }

func TestJournalThatIsWrong(t *testing.T) {
	var good map[string][]byte
	inBubble(t, func(t *testing.T, b *testNet) {
		h := newHouse(b)
		h.turnOn(1)
		h.still(h.all()...)
		good = h.books[1].pages
	})
	require.Len(t, good, 65)
	with := func(key, value string) map[string][]byte {
		pages := maps.Clone(good)
		pages[key] = []byte(value)
		return pages
	}
	drained := make(map[string][]byte) // a journal of a member that holds nothing
	for key, value := range good {
		if key == "member" || key == "departed" {
			drained[key] = value
		}
	}
	const (
		cure    = ": start the version of the program that wrote it, restore the journal and the data beside it from one backup, or empty both"
		another = `cluster: the journal is of member "n1" of cluster "orders" with 64 partitions, this is `
		right   = ": take the right journal, or empty it and the data beside it"
	)
	for name, tt := range map[string]struct {
		pages map[string][]byte
		err   error
		edit  edit
		want  string
	}{
		"unreadable": {err: errors.New("no such disk"), want: "cluster: loading the journal: no such disk"},
		"newer":      {pages: with("partition-7", "?"), want: `cluster: the journal's "partition-7": a record in version 63 of the format, this program reads version 3` + cure},
		"empty":      {pages: with("partition-7", ""), want: `cluster: the journal's "partition-7": malformed record` + cure},
		"cut short":  {pages: with("partition-7", string(good["partition-7"][:9])), want: `cluster: the journal's "partition-7": malformed record` + cure},
		"of another": {pages: with("partition-7", string(good["partition-8"])), want: `cluster: the journal's "partition-7": malformed record` + cure},
		"departures": {pages: with("departed", "?"), want: `cluster: the journal's "departed": a record in version 63 of the format, this program reads version 3` + cure},
		"no number":  {pages: with("partition--1", ""), want: `cluster: the journal's "partition--1": not a partition` + cure},
		"no head":    {pages: with("member", ""), want: `cluster: the journal's "member": unexpected end of JSON input` + cure},
		"head lost": {pages: map[string][]byte{"partition-7": good["partition-7"]},
			want: `cluster: the journal's "member": missing, or without an origin` + cure},
		"of another member":          {pages: good, edit: func(o *cluster.Options) { o.NodeID = "other" }, want: another + `"other" of "orders" with 64` + right},
		"of another cluster":         {pages: good, edit: func(o *cluster.Options) { o.ClusterName = "other" }, want: another + `"n1" of "other" with 64` + right},
		"fewer partitions":           {pages: good, edit: func(o *cluster.Options) { o.PartitionCount = 7 }, want: another + `"n1" of "orders" with 7` + right},
		"more partitions":            {pages: good, edit: func(o *cluster.Options) { o.PartitionCount = 128 }, want: another + `"n1" of "orders" with 128` + right},
		"of another member, drained": {pages: drained, edit: func(o *cluster.Options) { o.NodeID = "other" }, want: another + `"other" of "orders" with 64` + right},
		"without a handoff": {pages: good, edit: func(o *cluster.Options) { o.Handoff.Mover = nil },
			want: "cluster: invalid options: Handoff.Mover is <nil>: must be set where Journal is"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := cluster.New(options(1, func(o *cluster.Options) {
				o.Handoff.Mover, o.Handoff.Journal = &store{}, &wrong{book{pages: tt.pages}, tt.err}
				if tt.edit != nil {
					tt.edit(o)
				}
			}))
			require.EqualError(t, err, tt.want)
		})
	}
}
