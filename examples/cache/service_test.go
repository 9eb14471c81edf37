package main

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/ring"
)

func TestReadsStayInTheirZone(t *testing.T) {
	inCluster(t, func(t *testing.T, tc *testCluster) {
		all := tc.startMany(6)
		for i := range 50 {
			key, content := fmt.Sprintf("user:%d", i), fmt.Sprint("value ", i)
			all[i%6].write(t, key, content, "3/3")
			primary, _ := all[0].Lookup(key).Primary()
			for _, m := range all {
				tc.forwarded()
				by := tc.members[m.read(t, key, content, "hit")+":80"]
				require.Equal(t, m.Local().Zone, by.Local().Zone)
				if by == m {
					require.Zero(t, tc.forwarded())
				} else {
					require.Equal(t, 1, tc.forwarded(), "once")
				}
				require.Equal(t, primary.ID(), m.read(t, key+"?from=primary", content, "hit"))
			}
		}
	})
}

// A member that is no owner refuses with its token, and sends no request.
func TestForwardedRequestsAreNotForwarded(t *testing.T) {
	inCluster(t, func(t *testing.T, tc *testCluster) {
		all := tc.startMany(6)
		key := keyWhere(t, all[0], func(p ring.Placement) bool { return !p.Owns("n1") })
		for _, method := range []string{http.MethodGet, http.MethodPut} {
			answer := all[0].do(method, "/cache/"+key, "v", tokenHeader, "0123456789abcdef", versionHeader, "1", ageHeader, "0")
			require.Equal(t, http.StatusMisdirectedRequest, answer.Code)
			require.Equal(t, all[0].Lookup(key).Token().String(), answer.Header().Get(tokenHeader))
			require.Zero(t, tc.forwarded())
		}
		require.Zero(t, all[0].store.Len())
	})
}

// behind is an outdated view: it has the owners of one key for all keys.
type behind struct {
	owners
	key string
}

func (b behind) Lookup(string) ring.Placement { return b.owners.Lookup(b.key) }

// A member with an outdated view asks a former owner, is refused, and asks the next
// owner.
func TestTheNextOwnerIsAskedWhenViewsDiffer(t *testing.T) {
	inCluster(t, func(t *testing.T, tc *testCluster) {
		all := tc.startMany(6) // n1 and n4 in zone a, n2 and n5 in b, n3 and n6 in c
		n1 := all[0]
		ownedBy := func(ids ...string) string {
			return keyWhere(t, n1, func(p ring.Placement) bool { return p.Owns(ids[0]) && p.Owns(ids[1]) && p.Owns(ids[2]) })
		}
		ours := ownedBy("n1", "n5", "n6") // in the view of n1 it is an owner
		all[4].write(t, ours, "v", "3/3")
		tc.forwarded()

		n1.owners = behind{n1.Cluster, ownedBy("n4", "n5", "n6")}
		require.Contains(t, []string{"n5", "n6"}, n1.read(t, ours, "v", "hit"))
		require.Equal(t, 2, tc.forwarded(), "n4 refused it")
		answer := n1.do(http.MethodPut, "/cache/"+ours, "w")
		require.Equal(t, "2/3", answer.Header().Get(storedHeader))
		tc.forwarded()

		n1.owners = behind{n1.Cluster, ownedBy("n4", "n2", "n3")}
		require.Equal(t, http.StatusServiceUnavailable, n1.do(http.MethodGet, "/cache/"+ours, "").Code)
		require.Equal(t, 3, tc.forwarded(), "each refused it, and none passed it on")
		require.Equal(t, http.StatusServiceUnavailable, n1.do(http.MethodPut, "/cache/"+ours, "w").Code)
	})
}

// New owners fill their keys from other owners, and so does a member that restarts
// empty.
func TestOwnersFillFromEachOtherAfterAChange(t *testing.T) {
	inCluster(t, func(t *testing.T, tc *testCluster) {
		all := tc.startMany(6)
		for i := range 50 {
			all[0].write(t, fmt.Sprint(i), "v", "3/3")
		}
		tc.crash(4, all[0], all[1], all[2], all[4], all[5])
		n1 := all[0] // in the zone of n4
		fills := 0
		for i := range 50 {
			answer := n1.do(http.MethodGet, "/cache/"+fmt.Sprint(i), "")
			require.Equal(t, http.StatusOK, answer.Code)
			require.Equal(t, "a", answer.Header().Get(zoneHeader))
			if answer.Header().Get(resultHeader) == "fill" {
				fills++
			}
			n1.read(t, fmt.Sprint(i), "v", "hit")
		}
		require.Greater(t, fills, 10, "n1 has taken over what n4 had held")

		again := tc.start(4)
		tc.agree(all[0], all[1], all[2], again, all[4], all[5])
		require.Zero(t, again.store.Len())
		for i := range 50 {
			again.read(t, fmt.Sprint(i), "v", map[bool]string{true: "fill", false: "hit"}[again.Cluster.Lookup(fmt.Sprint(i)).Owns("n4")])
		}
		require.Equal(t, fills, again.store.Len(), "the same table, the same keys")
	})
}

// A member drops the keys that it does not own any more: their values would be old when
// it owns the keys again.
func TestFormerOwnersDropTheirEntries(t *testing.T) {
	inCluster(t, func(t *testing.T, tc *testCluster) {
		all := tc.startMany(3)
		for i := range 50 {
			all[0].write(t, fmt.Sprint(i), "v", "3/3")
		}
		require.Equal(t, 50, all[0].store.Len(), "with three members everybody owns everything")
		all = append(all, tc.start(4))
		tc.agree(all...)
		synctest.Wait()
		held := 0
		for i := range 50 {
			if all[0].Cluster.Lookup(fmt.Sprint(i)).Owns("n1") {
				held++
			}
		}
		require.Less(t, held, 50)
		require.Equal(t, held, all[0].store.Len())
	})
}

// Before a crash is noticed, reads go to the next owner, and writes to the other
// owners.
func TestACrashThatIsNotNoticedYet(t *testing.T) {
	inCluster(t, func(t *testing.T, tc *testCluster) {
		all := tc.startMany(6)
		key := keyWhere(t, all[0], func(p ring.Placement) bool { return p.Owns("n4") })
		all[0].write(t, key, "v", "3/3")
		tc.vanish(4)
		require.NotEqual(t, "n4", all[0].read(t, key, "v", "hit"))
		all[0].write(t, key, "w", "2/3")
		all[0].read(t, key, "w", "hit")
		all[0].read(t, "unheard-of", missing, "miss")
	})
}

// A member that hangs delays a read by the time patience and no more, also a read of a
// key that only this member may have.
func TestAMemberThatHangs(t *testing.T) {
	inCluster(t, func(t *testing.T, tc *testCluster) {
		all := tc.startMany(6)
		key := keyWhere(t, all[0], func(p ring.Placement) bool { return p.Owns("n4") })
		all[0].write(t, key, "v", "3/3")
		all[3].hung = true
		began := time.Now()
		require.NotEqual(t, "n4", all[0].read(t, key, "v", "hit"))
		require.Equal(t, patience, time.Since(began))

		other := keyWhere(t, all[0], func(p ring.Placement) bool { return p.Owns("n4") && !p.Owns("n3") && p.Owns("n6") && p.Owns("n2") })
		began = time.Now()
		require.Equal(t, "n6", all[2].read(t, other, missing, "miss"))
		require.Equal(t, patience/2, time.Since(began))
		began = time.Now()
		all[0].write(t, other, "v", "2/3")
		require.Equal(t, patience, time.Since(began))
		all[3].hung = false
	})
}

// A missing value is filled with the newest value of the other owners.
func TestFillTakesTheNewest(t *testing.T) {
	inCluster(t, func(t *testing.T, tc *testCluster) {
		all := tc.startMany(3)
		now := time.Now()
		for i, key := range []string{"k", "l"} {
			all[1+i].store.Put(key, taken("old", now.Add(-time.Second)))
			all[2-i].store.Put(key, taken("new", now))
			require.Equal(t, "n1", all[0].read(t, key, "new", "fill"))
			require.Equal(t, "n1", all[0].read(t, key, "new", "hit"))
			v, _ := all[0].store.Get(key)
			require.True(t, now.Equal(v.Taken), "a fill makes nothing younger")
			require.Equal(t, now.UnixNano(), v.Version)
		}
	})
}

// A value whose version is of a clock that is ahead is replaced by the next write, also
// by one of another member, and its age is right.
func TestAClockThatIsAheadHasNoEffect(t *testing.T) {
	inCluster(t, func(t *testing.T, tc *testCluster) {
		all := tc.startMany(5)
		key := keyWhere(t, all[0], func(p ring.Placement) bool { return !p.Owns("n1") })
		for n, version := range []int64{time.Now().Add(time.Hour).UnixNano(), time.Now().Add(-time.Hour).UnixNano()} {
			p := all[0].Lookup(key)
			stored, owners, _ := all[0].offer(t.Context(), "/cache/"+key, key, Value{[]byte("wrong clock"), version, time.Now()}, p)
			require.Equal(t, 3, owners)
			require.Equal(t, 3-3*n, stored, "the higher version stays")
			for i, m := range all {
				m.write(t, key, fmt.Sprint(n, i), "3/3")
				for _, reader := range all {
					reader.read(t, key, fmt.Sprint(n, i), "hit")
				}
			}
		}
		time.Sleep(time.Hour + time.Nanosecond) // virtual
		all[0].read(t, key, missing, "miss")
	})
}

func TestKeysOfAllSorts(t *testing.T) {
	inCluster(t, func(t *testing.T, tc *testCluster) {
		all := tc.startMany(4)
		for i, key := range []string{"a%2Fb", "a%20b", "%2E%2E", "%C3%BC%3F", "a%2Fb%2F..%2Fc", "%25"} {
			all[i%4].write(t, key, key, "3/3")
			for _, m := range all {
				m.read(t, key, key, "hit")
			}
		}
	})
}

func TestRefusedRequests(t *testing.T) {
	inCluster(t, func(t *testing.T, tc *testCluster) {
		n1 := tc.startMany(1)[0]
		n1.write(t, "k", strings.Repeat("x", 1<<19), "1/1")
		require.Equal(t, http.StatusRequestEntityTooLarge, n1.do(http.MethodPut, "/cache/k", strings.Repeat("x", maxValue+1)).Code)
		require.Equal(t, http.StatusMethodNotAllowed, n1.do(http.MethodDelete, "/cache/k", "").Code)

		token := n1.Cluster.Lookup("k").Token().String()
		put := func(version, age string) int {
			return n1.do(http.MethodPut, "/cache/k", "v", tokenHeader, token, versionHeader, version, ageHeader, age).Code
		}
		require.Equal(t, http.StatusConflict, put("1", "0"), "there is a higher version")
		require.Equal(t, http.StatusNoContent, put(strconv.FormatInt(maxNumber, 10), "0"))
		for _, wrong := range []string{strconv.FormatInt(maxNumber+1, 10), "-1", "yesterday", ""} {
			require.Equal(t, http.StatusBadRequest, put(wrong, "0"), wrong)
			require.Equal(t, http.StatusBadRequest, put("1", wrong), wrong)
		}
		n1.read(t, "k", "v", "hit")
	})
}

// Before the first ring there is no owner to ask.
func TestWithoutARing(t *testing.T) {
	inCluster(t, func(t *testing.T, tc *testCluster) {
		m := &testMember{Cluster: tc.Make(1, nil)}
		m.Service = NewService(m.Cluster, NewStore(1000, time.Hour), &http.Client{Transport: tc}, patience)
		m.Routes(&m.mux)
		for _, method := range []string{http.MethodGet, http.MethodPut} {
			require.Equal(t, http.StatusServiceUnavailable, m.do(method, "/cache/k", "v").Code)
		}
	})
}
