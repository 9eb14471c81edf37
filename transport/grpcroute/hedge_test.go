package grpcroute_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring/option"
	"github.com/clusterkit/clusterkit/transport/grpcroute"
)

const (
	hedgeAfter = 50 * time.Millisecond
	healthy    = 2 * time.Millisecond // an answer takes that long
)

// newDesk returns the members n1 to n3 in virtual time, which are connected in memory, and a
// client of an observer in the zone of n1. All of them own all keys. Its reads go to n1 first,
// then to n2.
func newDesk(t *testing.T, edit func(*grpcroute.Options)) (*fleet, *grpcroute.Router, *grpc.ClientConn) {
	f := &fleet{t: t}
	listeners := make(map[string]*bufconn.Listener)
	o := newSeen("o1")
	router := f.router(o, func(o *grpcroute.Options) {
		o.HedgeAfter = hedgeAfter
		o.Dial = func(ctx context.Context, addr string) (net.Conn, error) { return listeners[addr].DialContext(ctx) }
		if edit != nil {
			edit(o)
		}
	})
	for i, place := range []string{"a", "b", "c"} {
		id := fmt.Sprint("n", i+1)
		s := &station{seen: newSeen(id), id: id, addr: id + ":1", runs: make(map[string]int)}
		s.router = f.router(s.seen, nil)
		s.answers(takes(healthy, id))
		f.stations = append(f.stations, s)
		f.members = append(f.members, membership.Member{
			ID: id, Region: "eu", Zone: place, Weight: 1, State: membership.Active, Start: membership.Start{Number: 1},
			Services: map[string]string{"kv": s.addr},
		})
		listeners[s.addr] = bufconn.Listen(64 << 10)
		server := grpc.NewServer(s.router.ServerOptions()...)
		server.RegisterService(&service, s)
		s.server = server
		f.begin(server, listeners[s.addr])
	}
	f.members = append(f.members, membership.Member{ID: "o1", Region: "eu", Zone: "a", State: membership.Observer})
	f.agree([]*seen{o}, 1, 2, 3)
	conn := f.client(router)
	for range 3 { // all connections that reads need are made
		_, err := invoke(t.Context(), conn, get, "warm")
		require.NoError(t, err)
		time.Sleep(time.Second)
	}
	for _, s := range f.stations {
		s.forget()
	}
	return f, router, conn
}

// takes answers after a time.
func takes(by time.Duration, answer string) func(context.Context, string, string) (string, error) {
	return func(ctx context.Context, _, _ string) (string, error) {
		select {
		case <-time.After(by):
			return answer, nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// freezes never answers, and does not see that its caller is gone.
func freezes(f *fleet) func(context.Context, string, string) (string, error) {
	thaw := make(chan struct{})
	f.t.(*testing.T).Cleanup(sync.OnceFunc(func() { close(thaw) }))
	return func(context.Context, string, string) (string, error) {
		<-thaw
		return "", errors.New("thawed")
	}
}

// fails ends with a status after a time.
func fails(by time.Duration, code codes.Code) func(context.Context, string, string) (string, error) {
	return func(context.Context, string, string) (string, error) {
		time.Sleep(by)
		return "", status.Error(code, "of the handler")
	}
}

// TestAFrozenOwnerCostsAMoment: 99 of 100 reads are answered within HedgeAfter and the time of a
// healthy owner.
func TestAFrozenOwnerCostsAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, router, conn := newDesk(t, nil)
		f.stations[0].answers(freezes(f))
		const reads = 1000
		late := 0
		for range reads {
			began := time.Now()
			got, err := invoke(t.Context(), conn, get, "a")
			require.NoError(t, err)
			require.Equal(t, "n2", got)
			took := time.Since(began)
			require.LessOrEqual(t, took, hedgeAfter+healthy)
			if took > healthy {
				late++
			}
			time.Sleep(3 * time.Millisecond) // virtual time: the load
		}
		require.LessOrEqual(t, late, reads/100, "the frozen owner is tried last, and by one read a second")
		stats := router.Stats()
		require.EqualValues(t, late, stats.Hedges)
		require.EqualValues(t, late, stats.Canceled.SameZone)
		require.EqualValues(t, reads, stats.Answered.SameRegion)
		require.Zero(t, stats.GaveUp)
		require.Equal(t, reads, f.stations[1].ran("a"))

		f.stations[0].answers(takes(healthy, "n1"))
		time.Sleep(2 * time.Second)
		for range 10 {
			got, err := invoke(t.Context(), conn, get, "b")
			require.NoError(t, err)
			require.Equal(t, "n1", got, "it is well again")
		}
	})
}

// TestHealthyReadsAreNotHedged, but for those few that take longer than HedgeAfter.
func TestHealthyReadsAreNotHedged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, router, conn := newDesk(t, nil)
		n := 0
		f.stations[0].answers(func(ctx context.Context, _, _ string) (string, error) {
			n++
			by := time.Duration(n%40) * time.Millisecond
			if n%500 == 0 {
				by = 60 * time.Millisecond
			}
			return takes(by, "n1")(ctx, "", "")
		})
		const reads = 2000
		for range reads {
			_, err := invoke(t.Context(), conn, get, "a")
			require.NoError(t, err)
			time.Sleep(time.Second) // an owner that lost is tried again
		}
		require.Positive(t, router.Stats().Hedges)
		require.Less(t, router.Stats().Hedges, uint64(reads/100))
	})
}

// TestWhatIsHedged: which calls are, and which answer counts.
func TestWhatIsHedged(t *testing.T) {
	second := time.Second
	type handler = func(context.Context, string, string) (string, error)
	for _, c := range []struct {
		name          string
		method        string
		first, second handler
		edit          func(*grpcroute.Options)
		want          string
		code          codes.Code
		runs          [2]int
	}{
		{"a read", get, takes(second, "n1"), takes(healthy, "n2"), nil, "n2", 0, [2]int{1, 1}},
		{"the first is faster after all", get, takes(60*time.Millisecond, "n1"), takes(second, "n2"), nil, "n1", 0, [2]int{1, 1}},
		{"a fast read is not", get, takes(49*time.Millisecond, "n1"), takes(healthy, "n2"), nil, "n1", 0, [2]int{1, 0}},
		{"a write is not", put, takes(second, "n1"), takes(healthy, "n2"), nil, "n1", 0, [2]int{1, 0}},
		{"nor one that may run twice", set, takes(second, "n1"), takes(healthy, "n2"), nil, "n1", 0, [2]int{1, 0}},
		{"nor without the option", get, takes(second, "n1"), takes(healthy, "n2"), func(o *grpcroute.Options) { o.HedgeAfter = 0 }, "n1", 0, [2]int{1, 0}},
		{"an error of the second counts", get, takes(second, "n1"), fails(healthy, codes.NotFound), nil, "", codes.NotFound, [2]int{1, 1}},
		{"an error of the first counts", get, fails(60*time.Millisecond, codes.NotFound), takes(second, "n2"), nil, "", codes.NotFound, [2]int{1, 1}},
		{"an error that looks like a broken connection", get, takes(second, "n1"), fails(healthy, codes.Unavailable), nil, "", codes.Unavailable, [2]int{1, 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, router, conn := newDesk(t, c.edit)
				f.stations[0].answers(c.first)
				f.stations[1].answers(c.second)
				var ends int
				got, err := invoke(t.Context(), conn, c.method, "a", grpc.OnFinish(func(error) { ends++ }))
				require.Equal(t, c.code, status.Code(err), "%v", err)
				require.Equal(t, c.want, got)
				ran := [2]int{f.stations[0].ran("a"), f.stations[1].ran("a")}
				require.Equal(t, c.runs, ran)
				require.EqualValues(t, c.runs[1], router.Stats().Hedges)
				require.Equal(t, 1, ends)
				time.Sleep(2 * second)
			})
		})
	}
}

// TestAHedgeNeedsAToken of the retry budget.
func TestAHedgeNeedsAToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, router, conn := newDesk(t, func(o *grpcroute.Options) {
			o.RetryBurst, o.RetriesPerRequest, o.RetriesPerSecond, o.AvoidFor = 1, option.None, option.None, time.Millisecond
		})
		f.stations[0].answers(takes(time.Second, "n1"))
		for _, want := range []string{"n2", "n1"} {
			got, err := invoke(t.Context(), conn, get, "a")
			require.NoError(t, err)
			require.Equal(t, want, got)
			time.Sleep(2 * time.Second)
		}
		require.Equal(t, uint64(1), router.Stats().Hedges)
		require.Equal(t, uint64(1), router.Stats().OverBudget)
	})
}

// TestTheOutputsOfAHedge are those of the answer that counts.
func TestTheOutputsOfAHedge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _, conn := newDesk(t, nil)
		for i, by := range []time.Duration{time.Second, healthy} {
			id := f.stations[i].id
			f.stations[i].answers(func(ctx context.Context, _, _ string) (string, error) {
				_ = grpc.SendHeader(ctx, metadata.Pairs("from", id))
				_ = grpc.SetTrailer(ctx, metadata.Pairs("from", id))
				return takes(by, id)(ctx, "", "")
			})
		}
		var header, trailer metadata.MD
		var from peer.Peer
		got, err := invoke(t.Context(), conn, get, "a", grpc.Header(&header), grpc.Trailer(&trailer), grpc.Peer(&from), grpc.WaitForReady(true))
		require.NoError(t, err)
		require.Equal(t, "n2", got)
		require.Equal(t, []string{"n2"}, header.Get("from"))
		require.Equal(t, []string{"n2"}, trailer.Get("from"))
		require.NotNil(t, from.Addr)
	})
}

// TestAHedgedCallRunsTwiceAtMost: as a hedge, or once more after its connection broke.
func TestAHedgedCallRunsTwiceAtMost(t *testing.T) {
	for _, c := range []struct {
		name          string
		first, second time.Duration // after which the connections to n1 and n2 break; zero: they do not
		want          string
		hedges        uint64
	}{
		{"the first breaks late", 60 * time.Millisecond, 0, "n2", 1},
		{"the first breaks before", 10 * time.Millisecond, 0, "n2", 0},
		{"the second breaks", 0, 10 * time.Millisecond, "n1", 1},
		{"both break", 60 * time.Millisecond, 60 * time.Millisecond, "", 1},
		{"both break, one after the other", 10 * time.Millisecond, 60 * time.Millisecond, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, router, conn := newDesk(t, nil)
				for i, after := range []time.Duration{c.first, c.second} {
					s := f.stations[i]
					if after == 0 {
						s.answers(takes(time.Second, s.id))
						continue
					}
					s.answers(func(context.Context, string, string) (string, error) {
						time.Sleep(after)
						s.server.Stop()
						return "", nil
					})
				}
				got, err := invoke(t.Context(), conn, get, "a")
				require.Equal(t, c.want, got)
				if c.want == "" {
					require.Equal(t, codes.Unavailable, status.Code(err))
					require.NotErrorIs(t, err, grpcroute.ErrNotRun)
				} else {
					require.NoError(t, err)
				}
				require.Equal(t, c.hedges, router.Stats().Hedges)
				require.Equal(t, [3]int{1, 1, 0}, [3]int{f.stations[0].ran("a"), f.stations[1].ran("a"), f.stations[2].ran("a")})
			})
		})
	}
}

// TestAHedgeEndsWithItsCaller: no attempt is left when the call has ended.
func TestAHedgeEndsWithItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, router, conn := newDesk(t, nil)
		for _, s := range f.stations {
			s.answers(takes(time.Hour, s.id))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, err := invoke(ctx, conn, get, "a")
		require.Equal(t, codes.DeadlineExceeded, status.Code(err))
		require.Equal(t, 200*time.Millisecond, time.Since(began))
		require.Equal(t, uint64(1), router.Stats().Hedges)
	})
}
