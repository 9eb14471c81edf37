package main

import (
	"errors"
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

func TestWritesThatAreNotStored(t *testing.T) {
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

// Two of three owners are enough for reads and writes, and one is not. A client of the
// one owner learns why.
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
			require.Empty(t, w.Header().Get(versionHeader), "nothing was stored")
			require.NotEmpty(t, w.Header().Get("Retry-After"))
			require.Equal(t, answerWithin, time.Since(began))
		}

		all[1].refusing(nil)
		all[2].refusing(nil)
		time.Sleep(2 * replyWithin) // virtual
		for _, m := range all {
			m.requireRead(t, "k", "two of three")
		}
	})
}

// A write that reached only one replica does not replace later writes, although the
// clock of the member that accepted it is an hour ahead.
func TestAClockThatIsAheadHasNoEffect(t *testing.T) {
	inCluster(t, func(t *testing.T, tc *testCluster) {
		tc.walls[1].set(time.Hour)
		all := tc.startMany(3)
		lost := func(request *http.Request) error {
			if request.Method == http.MethodPut {
				return errors.New("connection reset")
			}
			return nil
		}
		all[1].refusing(lost)
		all[2].refusing(lost)
		w := all[0].do(http.MethodPut, "k", "one of three")
		require.Equal(t, http.StatusServiceUnavailable, w.Code)
		require.Equal(t, all[0].holds("k").Version.String(), w.Header().Get(versionHeader), "it may have been stored")
		require.Equal(t, "one of three", string(all[0].holds("k").Content))

		time.Sleep(time.Second) // virtual
		all[0].refusing(hang)
		all[1].refusing(nil)
		all[2].refusing(nil)
		later := all[1].write(t, "k", "two of three")
		all[0].refusing(nil)
		for _, m := range all {
			m.requireRead(t, "k", "two of three")
			require.Equal(t, later.String(), m.do(http.MethodGet, "k", "").Header().Get(versionHeader))
		}
	})
}

// A version is higher than all versions of a read quorum, and a clock that is behind
// catches up with them.
func TestVersionsFollowAReadQuorum(t *testing.T) {
	inCluster(t, func(t *testing.T, tc *testCluster) {
		tc.walls[1].set(-time.Hour)
		all := tc.startMany(3)
		p := all[0].Lookup("k")
		ahead := Entry{Version: Version{Time: time.Now().Add(time.Hour).UnixNano(), Process: 7}}
		for _, m := range all[1:] {
			m.store.Put(p.Partition(), "k", ahead)
		}
		v, err := all[0].coordinator.version(t.Context(), "k", Version{}, true)
		require.NoError(t, err)
		require.Positive(t, v.Compare(ahead.Version))
		require.Equal(t, ahead.Version.Time, all[0].clock.Now())

		_, err = all[2].replica.Write(p.Partition(), p.Token(), "k", Entry{Version: v})
		require.NoError(t, err)
		require.Equal(t, v.Time, all[2].clock.Now(), "replicas see what they store")
	})
}

func TestReadsRepair(t *testing.T) {
	inCluster(t, func(t *testing.T, tc *testCluster) {
		all := tc.startMany(3)
		all[0].write(t, "k", "old")
		synctest.Wait() // all three owners have it
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
		all[1].store.Drop(p) // as if it had missed all writes
		require.Equal(t, http.StatusNotFound, all[0].do(http.MethodGet, "k", "").Code)
		time.Sleep(replyWithin)
		require.True(t, all[1].holds("k").Deleted, "deletions are repaired as well")
	})
}

// A replica refuses a request whose sender means other owners, and says so.
func TestReplicasRefuse(t *testing.T) {
	inCluster(t, func(t *testing.T, tc *testCluster) {
		all := tc.startMany(5)
		key := keyWhere(t, all[0], func(p ring.Placement) bool { return !p.Owns("n1") })
		p := all[0].Lookup(key)
		e := Entry{Version: all[0].clock.Next(1), Content: []byte("v")}
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

		// An answer of an owner that does not have all data yet does not count.
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

// otherwise is the outdated view of a member.
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

// A coordinator with an outdated view tries again when its view has changed.
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
		_, err := late.Write(t.Context(), "k", []byte("v"), false, Version{})
		require.NoError(t, err)
		require.GreaterOrEqual(t, time.Since(began), answerWithin/2)
		all[1].requireRead(t, "k", "v")
	})
}
