package main

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/ring"
)

func TestAnyMemberReadsAndWrites(t *testing.T) {
	inCluster(t, func(t *testing.T, tc *testCluster) {
		all := tc.startMany(5)
		last := make(map[string]Version)
		for i := range 60 {
			key := "user:" + strconv.Itoa(i%20)
			v := all[i%5].write(t, key, strconv.Itoa(i))
			require.Positive(t, v.Compare(last[key]))
			last[key] = v
			all[(i+1)%5].requireRead(t, key, strconv.Itoa(i))
		}
		require.Equal(t, http.StatusNoContent, all[0].do(http.MethodDelete, "user:7", "").Code)
		for _, d := range all {
			w := d.do(http.MethodGet, "user:7", "")
			require.Equal(t, http.StatusNotFound, w.Code)
			require.Greater(t, w.Header().Get(versionHeader), last["user:7"].String(), "a deletion has a version")
			w = d.do(http.MethodGet, "nobody", "")
			require.Equal(t, http.StatusNotFound, w.Code)
			require.Empty(t, w.Header().Get(versionHeader))
		}
		all[3].write(t, "user:7", "again")
		all[4].requireRead(t, "user:7", "again")
	})
}

func TestWhatIsNotStored(t *testing.T) {
	inCluster(t, func(t *testing.T, tc *testCluster) {
		d := tc.startMany(1)[0]
		for _, c := range []struct {
			key, body string
			status    int
		}{
			{strings.Repeat("k", maxKey+1), "v", http.StatusBadRequest},
			{"%ff", "v", http.StatusBadRequest},
			{"k", strings.Repeat("v", maxValue+1), http.StatusRequestEntityTooLarge},
		} {
			require.Equal(t, c.status, d.do(http.MethodPut, c.key, c.body).Code)
		}
		require.Zero(t, d.store.Len())
	})
}

// One of three owners is enough for nothing, two are for everything; but who is
// alone is told why.
func TestQuorums(t *testing.T) {
	inCluster(t, func(t *testing.T, tc *testCluster) {
		all := tc.startMany(3)
		all[0].write(t, "k", "before")
		all[2].refusing(hang)
		began := time.Now()
		all[0].write(t, "k", "two of three")
		all[0].requireRead(t, "k", "two of three")
		require.Less(t, time.Since(began), replyWithin, "nobody waits for the third")

		all[1].refusing(hang)
		for _, method := range []string{http.MethodPut, http.MethodGet} {
			began := time.Now()
			w := all[0].do(method, "k", "one of three")
			require.Equal(t, http.StatusServiceUnavailable, w.Code)
			require.Contains(t, w.Body.String(), "no quorum: 1 owners answered, 2 are needed")
			require.NotEmpty(t, w.Header().Get("Retry-After"))
			require.Equal(t, answerWithin, time.Since(began))
		}

		all[1].refusing(nil)
		all[2].refusing(nil)
		w := all[1].do(http.MethodGet, "k", "")
		require.Contains(t, []string{"two of three", "one of three"}, w.Body.String(), "not acknowledged is not to say not stored")
	})
}

// A member whose clock is behind does not write what is lost the moment it is
// acknowledged.
func TestClocksThatDiffer(t *testing.T) {
	inCluster(t, func(t *testing.T, tc *testCluster) {
		all := tc.startMany(5)
		key := keyWhere(t, all[0], func(p ring.Placement) bool { return !p.Owns("n1") && !p.Owns("n2") })
		v := all[1].clock.Next()
		v.Time += int64(maxSkew / 2)
		require.NoError(t, all[1].clock.See(v)) // its clock is ahead
		ahead := all[1].write(t, key, "first")
		require.Negative(t, all[0].clock.Next().Compare(ahead))
		later := all[0].write(t, key, "second")
		require.Positive(t, later.Compare(ahead))
		for _, d := range all {
			d.requireRead(t, key, "second")
		}

		v.Time += int64(maxSkew)
		all[1].clock.last = v // and now too far
		w := all[1].do(http.MethodPut, key, "third")
		require.Equal(t, http.StatusServiceUnavailable, w.Code)
		require.Contains(t, w.Body.String(), "ahead of this member's clock")
		all[0].requireRead(t, key, "second")
	})
}

func TestReadsRepair(t *testing.T) {
	inCluster(t, func(t *testing.T, tc *testCluster) {
		all := tc.startMany(3)
		all[0].write(t, "k", "old")
		synctest.Wait() // it is with all three
		all[2].refusing(hang)
		v := all[0].write(t, "k", "new")
		time.Sleep(2 * replyWithin) // virtual
		require.Equal(t, "old", string(all[2].holds("k").Content))
		all[2].refusing(nil)

		all[1].requireRead(t, "k", "new")
		time.Sleep(replyWithin)
		require.Equal(t, v, all[2].holds("k").Version)

		require.Equal(t, http.StatusNoContent, all[0].do(http.MethodDelete, "k", "").Code)
		time.Sleep(replyWithin)
		p := all[1].Lookup("k").Partition()
		all[1].store.Drop(p) // as if it had missed all of it
		require.Equal(t, http.StatusNotFound, all[0].do(http.MethodGet, "k", "").Code)
		time.Sleep(replyWithin)
		require.True(t, all[1].holds("k").Deleted, "deletions are repaired as well")
	})
}

// A replica refuses who means other owners, and says so.
func TestReplicasRefuse(t *testing.T) {
	inCluster(t, func(t *testing.T, tc *testCluster) {
		all := tc.startMany(5)
		key := keyWhere(t, all[0], func(p ring.Placement) bool { return !p.Owns("n1") })
		p := all[0].Lookup(key)
		e := Entry{Version: all[0].clock.Next(), Content: []byte("v")}
		m, _ := all[0].Member("n1")
		owner, _ := p.Primary()
		o, _ := all[0].Member(owner.ID())
		peers := all[0].coordinator.peers
		for _, c := range []struct {
			to     cluster.Member
			token  ring.Token
			status string
		}{
			{o, p.Token() + 1, "^status 409: cluster: partition "},
			{m, p.Token(), "^status 421: cluster: not an owner"},
		} {
			_, err := peers.Write(t.Context(), c.to, p.Partition(), c.token, key, e)
			require.Error(t, err)
			require.Regexp(t, c.status, err.Error())
			_, err = peers.Read(t.Context(), c.to, p.Partition(), c.token, key)
			require.Error(t, err)
			require.Regexp(t, c.status, err.Error())
		}
		_, err := peers.Read(t.Context(), o, testPartitions, p.Token(), key)
		require.ErrorContains(t, err, `status 400: partition "64": must be from 0 to 63`)
		for _, d := range all {
			require.True(t, d.holds(key).Version.IsZero())
		}

		// An owner that does not have all of the data yet counts for nothing.
		joining := tc.start(6)
		tc.Await("it is to own, and does not yet", func() bool {
			return all[0].Lookup(key).Target().Len() > 0 && joining.Local().State.String() == "joining" && joining.Ring().Target().Len() == 6
		})
		q := keyWhere(t, joining, func(p ring.Placement) bool { return !p.Owns("n6") && p.Target().Owns("n6") })
		place := joining.Lookup(q)
		_, err = joining.replica.Read(place.Partition(), place.Token(), q)
		require.ErrorIs(t, err, cluster.ErrNotOwner)
		tc.still(append(all, joining)...)
	})
}

// otherwise is a cluster as seen by a member that has not heard the news.
type otherwise struct {
	*cluster.Cluster
	stale func() ring.Placement
}

func (o otherwise) Lookup(key string) ring.Placement {
	if p := o.stale(); p.Len() > 0 {
		return p
	}
	return o.Cluster.Lookup(key)
}

// A coordinator that means other owners than they do tries again when it has
// heard.
func TestCoordinatorsTryAgain(t *testing.T) {
	inCluster(t, func(t *testing.T, tc *testCluster) {
		all := tc.startMany(3)
		before := all[0].Lookup("k")
		all = append(all, tc.start(4), tc.start(5))
		tc.still(all...)
		require.NotEqual(t, before.Token(), all[0].Lookup("k").Token())
		began := time.Now()
		late := NewCoordinator(otherwise{all[0].Cluster, func() ring.Placement {
			if time.Since(began) < answerWithin/2 {
				return before
			}
			return ring.Placement{}
		}}, all[0].replica, all[0].coordinator.peers, majority, answerWithin)
		defer late.Close()
		_, err := late.Write(t.Context(), "k", []byte("v"), false)
		require.NoError(t, err)
		require.GreaterOrEqual(t, time.Since(began), answerWithin/2)
		all[1].requireRead(t, "k", "v")
	})
}
