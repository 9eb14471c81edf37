package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/cluster/handofftest"
	"github.com/clusterkit/clusterkit/examples/internal/testcluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring"
)

// A draining member releases its partitions after the others have them, and a joining
// member serves after it has received its partitions.
func TestDataFollowsItsOwners(t *testing.T) {
	inCluster(t, func(t *testing.T, tc *testCluster) {
		all := tc.startMany(4)
		const n = 200
		for i := range n {
			all[i%4].write(t, "k"+strconv.Itoa(i), "v"+strconv.Itoa(i))
		}
		require.Equal(t, http.StatusNoContent, all[0].do(http.MethodDelete, "k0", "").Code)
		ctx, cancel := context.WithTimeout(t.Context(), drainWithin)
		defer cancel()
		require.NoError(t, all[3].Drain(ctx))
		require.Zero(t, all[3].store.Len(), "it holds nothing any more")
		all[3].requireRead(t, "k7", "v7") // and answers users until the end
		require.NoError(t, all[3].Stop(ctx))

		all = append(all[:3], tc.start(5), tc.start(6))
		tc.still(all...)
		for i := range n {
			key := "k" + strconv.Itoa(i)
			for _, d := range all {
				p := d.Lookup(key)
				require.Equal(t, !p.Owns(d.Local().ID), d.holds(key).Version.IsZero(), "%s of %s", key, d.Local().ID)
				if i > 0 {
					d.requireRead(t, key, "v"+strconv.Itoa(i))
				} else {
					require.Equal(t, http.StatusNotFound, d.do(http.MethodGet, key, "").Code, "deletions move as well")
				}
			}
		}
	})
}

// A member that crashes is replaced, and comes back empty.
func TestACrash(t *testing.T) {
	inCluster(t, func(t *testing.T, tc *testCluster) {
		all := tc.startMany(4)
		for i := range 100 {
			all[i%4].write(t, "k"+strconv.Itoa(i), "v"+strconv.Itoa(i))
		}
		tc.crash(2)
		for i := range 100 { // no member has noticed the crash
			all[0].requireRead(t, "k"+strconv.Itoa(i), "v"+strconv.Itoa(i))
			all[2].write(t, "k"+strconv.Itoa(i), "w"+strconv.Itoa(i))
		}
		all = []*testMember{all[0], tc.start(2), all[2], all[3]}
		tc.still(all...)
		for i := range 100 {
			all[1].requireRead(t, "k"+strconv.Itoa(i), "w"+strconv.Itoa(i))
		}
		require.Empty(t, all[1].Handoff().State().Lost)
	})
}

// A partition is received in pages, from all sources that answer. Another start of a
// source does not count.
func TestReceive(t *testing.T) {
	inCluster(t, func(t *testing.T, tc *testCluster) {
		all := tc.startMany(3)
		const p, n = 3, 20
		for i := range n {
			e := Entry{Version: Version{Time: int64(i + 1)}, Content: []byte(strings.Repeat("x", pageBytes/4))}
			for _, d := range all[:2] {
				d.store.Put(p, fmt.Sprintf("key %% & ? / %02d", i), e)
			}
		}
		newer := Entry{Version: Version{Time: 100}, Content: []byte("here")}
		requests := 0
		all[0].refusing(func(*http.Request) error { requests++; return nil })
		first, second, third := all[0].Local(), all[1].Local(), all[2].Local()

		s := NewStore(testPartitions)
		s.Put(p, "key % & ? / 07", newer)
		mover := NewMover(s, all[2].coordinator.peers)
		require.NoError(t, mover.Receive(t.Context(), p, []cluster.Member{first, third}, 1))
		require.GreaterOrEqual(t, requests, 5, "page by page")
		require.Equal(t, n, s.Len())
		require.Equal(t, newer, s.Get(p, "key % & ? / 07"), "merged, not replaced")

		restarted := second
		restarted.Start.Nonce++
		err := mover.Receive(t.Context(), p, []cluster.Member{first, restarted}, 2)
		require.ErrorContains(t, err, "merged from 1 of 2, 2 needed: from n2: start ")
		require.NoError(t, mover.Receive(t.Context(), p, []cluster.Member{first, restarted}, 1))

		all[1].refusing(hang)
		began := time.Now()
		require.ErrorIs(t, mover.Receive(t.Context(), p, []cluster.Member{second}, 1), context.DeadlineExceeded)
		require.Equal(t, replyWithin, time.Since(began))

		require.NoError(t, mover.Release(t.Context(), p))
		require.Zero(t, s.Len())
	})
}

// pagesOf answers with the function of a test.
type pagesOf func(after string) (Page, error)

func (f pagesOf) Page(_ context.Context, _ cluster.Member, _ int, after string) (Page, error) {
	return f(after)
}

// A source with invalid answers does not block the receiver for ever, and does not
// count.
func TestPagesThatCannotBe(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]pagesOf{
		"from the beginning again": func(string) (Page, error) { return Page{[]Item{{"a", at(1, "x")}}, true}, nil },
		"nothing, and more":        func(string) (Page, error) { return Page{nil, true}, nil },
		"cut off": func(after string) (Page, error) {
			if after != "" {
				return Page{}, errors.New("connection reset")
			}
			return Page{[]Item{{"a", at(1, "x")}}, true}, nil
		},
	} {
		m := NewMover(NewStore(1), answer)
		require.Error(t, m.Receive(t.Context(), 0, []cluster.Member{{ID: "n1"}}, 1), name)
	}
}

// judged adapts a store to handofftest: its versions become the times of the store's
// versions.
type judged struct{ *Mover }

func newJudged(p handofftest.Peers) handofftest.Store {
	return judged{NewMover(NewStore(16), direct{p})}
}

func (j judged) Put(p int, key string, version uint64) error {
	j.store.Put(p, key, Entry{Version: Version{Time: int64(version)}})
	return nil
}

func (j judged) Get(p int, key string) (uint64, error) {
	return uint64(j.store.Get(p, key).Version.Time), nil
}

// direct reads pages from the stores of other processes, a few items each.
type direct struct{ peers handofftest.Peers }

func (d direct) Page(_ context.Context, from cluster.Member, partition int, after string) (Page, error) {
	s, err := d.peers.Store(from)
	if err != nil {
		return Page{}, err
	}
	items, more := s.(judged).store.Page(partition, after, 3*itemBytes)
	return Page{items, more}, nil
}

func TestHandoffKeepsItsClaim(t *testing.T) {
	seeds := uint64(3)
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		handofftest.Run(t, handofftest.Options{New: newJudged, Seed: seed + 1})
	}
}

// Readers and writers go on while members come and go.
func TestNoGapWhileMembersComeAndGo(t *testing.T) {
	inCluster(t, func(t *testing.T, tc *testCluster) {
		all := tc.startMany(3)
		key := keyWhere(t, all[0], func(p ring.Placement) bool { return p.Len() == 3 })
		n := 0
		use := func(d *testMember) {
			n++
			d.write(t, key, strconv.Itoa(n))
			all[0].requireRead(t, key, strconv.Itoa(n))
		}
		for i := range 3 {
			joined := tc.start(4 + i)
			tc.Await("it owns", func() bool { use(joined); return joined.Local().State == membership.Active })
		}
		done := make(chan error)
		leaver := tc.members[testcluster.HTTPAddr(4)]
		go func() { done <- leaver.Drain(t.Context()) }()
		tc.Await("it is drained", func() bool {
			use(leaver)
			select {
			case err := <-done:
				require.NoError(t, err)
				return true
			default:
				return false
			}
		})
		require.Zero(t, leaver.store.Len())
	})
}
