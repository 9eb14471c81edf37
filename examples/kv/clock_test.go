package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/clusterkit_test/bubble"
	"github.com/clusterkit/clusterkit/ring"
)

// wall is the clock of a machine, which may be ahead by any time. On a real machine the
// monotonic clock goes on evenly when the date is set. Here it does not, which is a
// harder test.
type wall struct{ ahead atomic.Int64 }

func (w *wall) now() time.Time { return time.Now().Round(0).Add(time.Duration(w.ahead.Load())) }

func (w *wall) set(ahead time.Duration) { w.ahead.Store(int64(ahead)) }

// clocks maps a time since the beginning to a change of the clocks.
type clocks func(tc *testCluster, passed time.Duration)

// jumps changes clocks after five seconds, and back after fifteen.
func jumps(by time.Duration, members ...int) clocks {
	return func(tc *testCluster, passed time.Duration) {
		for _, i := range members {
			if tc.walls[i].set(0); passed >= 5*time.Second && passed < 15*time.Second {
				tc.walls[i].set(by)
			}
		}
	}
}

var wrongClocks = map[string]clocks{
	"one is an hour ahead for ten seconds":  jumps(time.Hour, 1),
	"one is an hour behind for ten seconds": jumps(-time.Hour, 2),
	"all but one are ahead for ten seconds": jumps(time.Hour, 1, 2, 3, 5),
	"one is ahead and one behind": func(tc *testCluster, passed time.Duration) {
		jumps(time.Hour, 1)(tc, passed)
		jumps(-time.Hour, 3)(tc, passed)
	},
	"one is an hour ahead from its start":  func(tc *testCluster, _ time.Duration) { tc.walls[1].set(time.Hour) },
	"one is an hour behind from its start": func(tc *testCluster, _ time.Duration) { tc.walls[1].set(-time.Hour) },
	"two drift apart": func(tc *testCluster, passed time.Duration) {
		tc.walls[1].set(30 * passed)
		tc.walls[2].set(-30 * passed)
	},
	"all jump about": func(tc *testCluster, passed time.Duration) {
		random := rand.New(rand.NewPCG(1, uint64(passed)))
		for i := range tc.walls {
			tc.walls[i].set(time.Duration(random.Int64N(int64(2*time.Hour))) - time.Hour)
		}
	},
}

// whileWrong runs clients for 20 seconds while clocks are wrong, and then while a
// member joins and one leaves.
func (tc *testCluster) whileWrong(set clocks, work func(all []*testMember) *work) {
	set(tc, 0)
	all := tc.startMany(4)
	w, began := work(all), time.Now()
	defer func() { w.end() }() // also when the test fails
	for range 40 {             // until the clocks are right again
		time.Sleep(500 * time.Millisecond) // virtual
		set(tc, time.Since(began))
	}
	w.end()
	w.check(all)

	w = work(all)
	all = append(all, tc.start(5))
	tc.still(all...)
	require.NoError(tc.T, all[1].Drain(tc.T.Context()))
	w.end()
	w.check(all)
}

// With any clocks, every member reads the last acknowledged write of a key, and every
// write is acknowledged.
func TestNoClockLosesAWrite(t *testing.T) {
	for name, set := range wrongClocks {
		if testing.Short() && name != "all jump about" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			inCluster(t, func(t *testing.T, tc *testCluster) {
				tc.whileWrong(set, func(all []*testMember) *work { return tc.work(all, false) })
			})
		})
	}
}

// When messages are lost, a write may reach only one replica, and its client learns
// that it is not acknowledged. Such a write never replaces a later write of the same
// client, with any clocks.
func TestNoClockBringsBackAReplacedValue(t *testing.T) {
	for _, name := range []string{"one is an hour ahead for ten seconds", "one is an hour behind from its start", "all jump about"} {
		set := wrongClocks[name]
		t.Run(name, func(t *testing.T) {
			inCluster(t, func(t *testing.T, tc *testCluster) {
				failed := 0
				tc.whileWrong(set, func(all []*testMember) *work {
					random := rand.New(rand.NewPCG(3, uint64(len(all))))
					var mu sync.Mutex
					for _, m := range all {
						m.refusing(func(request *http.Request) error {
							if !strings.HasPrefix(request.URL.Path, "/replica/") {
								return nil
							}
							mu.Lock()
							defer mu.Unlock()
							if random.Float64() < 0.75 {
								return errors.New("connection reset")
							}
							return nil
						})
					}
					w := tc.work(all, true)
					w.done = func() {
						for _, m := range all {
							m.refusing(nil)
						}
						failed += w.failed
					}
					return w
				})
				require.Positive(t, failed, "writes that were not acknowledged")
			})
		})
	}
}

// A client that writes on one side of a cut and then on the other reads its last write
// after the cut, if it sends the version that it has seen with each write.
func TestAClientMovesBetweenSidesOfACut(t *testing.T) {
	for name, ahead := range map[string]time.Duration{"right clocks": 0, "the first side is an hour ahead": time.Hour, "the first side is an hour behind": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			inCluster(t, func(t *testing.T, tc *testCluster) {
				for i := range 3 {
					tc.walls[i+1].set(ahead)
				}
				all := tc.startMany(6)
				key := keyWhere(t, all[0], func(p ring.Placement) bool { return p.Owns("n4") && p.Owns("n5") && p.Owns("n6") })
				written := func(m *testMember, after, content string) (version string) {
					bubble.Eventually(t, time.Minute, "a side of three acknowledges", func() error {
						w := m.doAfter(after, http.MethodPut, key, content)
						if version = w.Header().Get(versionHeader); w.Code != http.StatusNoContent {
							return errors.New(w.Body.String())
						}
						return nil
					})
					return version
				}
				v := written(all[5], "", "171")
				tc.cut(3)
				for _, m := range all {
					tc.Await("it sees its side", func() bool { return len(m.Members()) == 3 })
				}
				v = written(all[0], v, "172")
				began := time.Now()
				v = written(all[0], v, "172, too")
				require.GreaterOrEqual(t, time.Since(began), quorumWithin, "nothing was received here: there is no read quorum")
				v = written(all[5], v, "173")
				tc.cut(0)
				tc.still(all...)
				for _, m := range all {
					m.requireRead(t, key, "173")
					require.Equal(t, v, m.do(http.MethodGet, key, "").Header().Get(versionHeader))
				}
			})
		})
	}
}

// A user cannot use up the versions.
func TestVersionsOfUsersAreChecked(t *testing.T) {
	inCluster(t, func(t *testing.T, tc *testCluster) {
		all := tc.startMany(3)
		for _, v := range []string{"x", Version{Time: maxTime}.String(), Version{Time: time.Now().Add(maxAhead + time.Second).UnixNano()}.String()} {
			w := all[0].doAfter(v, http.MethodPut, "k", "v")
			require.Equal(t, http.StatusBadRequest, w.Code)
			require.Contains(t, w.Body.String(), "Kv-Version: version ")
		}
		seen := Version{Time: time.Now().Add(time.Hour).UnixNano()}.String()
		w := all[0].doAfter(seen, http.MethodDelete, "k", "")
		require.Equal(t, http.StatusNoContent, w.Code, w.Body)
		require.Greater(t, w.Header().Get(versionHeader), seen)
	})
}

// work simulates clients: each writes its own keys, through any member.
type work struct {
	t    *testing.T
	stop context.CancelFunc
	wait sync.WaitGroup
	done func() // after the last write

	mu     sync.Mutex
	failed int                        // writes that were not acknowledged
	may    map[string]map[string]bool // the values that a read of a key may return
}

// work starts clients. In sessions they send the version that they have seen with each
// write, also a version from an answer that says that a write may have failed.
func (tc *testCluster) work(all []*testMember, sessions bool) *work {
	ctx, stop := context.WithCancel(context.Background())
	begin := time.Now().UnixNano() // its keys are its own
	w := &work{t: tc.T, stop: stop, done: func() {}, may: make(map[string]map[string]bool)}
	for client := range 4 {
		random := rand.New(rand.NewPCG(7, uint64(client)))
		seen := make(map[string]string)
		w.wait.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				key, content, after := fmt.Sprintf("%d-%d-%d", begin, client, n%10), strconv.Itoa(n), ""
				if sessions {
					after = seen[key]
				}
				answer := all[random.IntN(len(all))].doAfter(after, http.MethodPut, key, content)
				if v := answer.Header().Get(versionHeader); v != "" {
					seen[key] = v
				}
				w.answered(key, content, answer.Code == http.StatusNoContent)
				time.Sleep(time.Duration(random.Int64N(int64(200 * time.Millisecond)))) // virtual
			}
		})
	}
	return w
}

func (w *work) answered(key, content string, acknowledged bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if acknowledged || w.may[key] == nil {
		w.may[key] = map[string]bool{"there is no such key\n": !acknowledged}
	}
	w.may[key][content] = true
	if !acknowledged {
		w.failed++
	}
}

func (w *work) end() {
	w.stop()
	w.wait.Wait()
	w.done()
}

// check reads every key through every member.
func (w *work) check(all []*testMember) {
	for key, may := range w.may {
		for _, m := range all {
			content := m.do(http.MethodGet, key, "").Body.String()
			require.True(w.t, may[content], "%s through %s is %q: must be one of %v", key, m.Local().ID, content, may)
		}
	}
	if w.failed > 0 {
		w.t.Log(w.failed, "writes were not acknowledged")
	}
}
