package route_test

import (
	"context"
	"errors"
	"flag"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/transport/internal/wire"
	"github.com/clusterkit/clusterkit/transport/route"
)

var routerSeed = flag.Uint64("router.seed", 0, "seed of the first round of diverging views; zero draws one")

// ledger records the fate of every request, by its header Id.
type ledger struct {
	mu      sync.Mutex
	ran     map[string]int             // runs by handlers
	sent    map[string]map[string]bool // the members that ran it
	sends   map[string]int
	arrived map[string]bool // marked requests, which come from another router
}

func (l *ledger) note(edit func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	edit()
}

// failing notes each request that a member sends. One in ten does not reach its receiver, and the answer of
// one in ten is lost.
func (l *ledger) failing(next http.RoundTripper, sender string, luck *rand.Rand) http.RoundTripper {
	var mu sync.Mutex
	return wrapped(func(r *http.Request) (*http.Response, error) {
		id := r.Header.Get("Id")
		l.note(func() {
			if l.sent[id] == nil {
				l.sent[id] = make(map[string]bool)
			}
			l.sent[id][sender] = true
			l.sends[id]++
		})
		mu.Lock()
		fate := luck.IntN(10)
		mu.Unlock()
		if fate == 0 {
			return unreachable(r)
		}
		response, err := next.RoundTrip(r)
		if fate == 1 && err == nil {
			_ = response.Body.Close()
			return nil, errors.New("the answer is lost")
		}
		return response, err
	})
}

// outcome is what a caller got for one request.
type outcome struct {
	id, method string
	entry      string // the member that the caller asked
	status     int
	err        error
}

// check requires that a request ran at most as often as its outcome and its method allow, and that only the
// member that the caller asked has sent it on.
func (l *ledger) check(t *testing.T, o outcome, maxAttempts int) {
	require.NoError(t, o.err)
	ran := l.ran[o.id]
	switch o.status {
	case 200:
		require.Positive(t, ran, "%+v", o)
	case 503:
		require.Zero(t, ran, "%+v says that it has not run", o)
	case 502:
	default:
		require.Fail(t, "unexpected status", "%+v", o)
	}
	if o.method == "POST" || o.method == "PATCH" {
		require.LessOrEqual(t, ran, 1, "%+v", o)
	}
	for sender := range l.sent[o.id] {
		require.Equal(t, o.entry, sender, "%+v was passed on", o)
	}
	require.LessOrEqual(t, l.sends[o.id], maxAttempts, "%+v", o)
}

// askAtRandom sends a request with this ID to a random member, and returns its outcome.
func (f *fleet) askAtRandom(ctx context.Context, luck *rand.Rand, id string) outcome {
	o := outcome{id: id, method: []string{"POST", "PATCH", "PUT", "GET"}[luck.IntN(4)]}
	entry := f.stations[luck.IntN(len(f.stations))]
	o.entry = entry.id
	var body io.Reader = strings.NewReader("body of " + id)
	if luck.IntN(3) == 0 {
		body = struct{ io.Reader }{body} // a streamed body
	}
	if o.method == "GET" {
		body = nil
	}
	r, err := http.NewRequestWithContext(ctx, o.method, entry.server.URL+"/k"+id, body)
	if err != nil {
		panic(err) // not one of this test's requests
	}
	r.Header.Set("Id", id)
	r.Header.Set("Policy", strconv.Itoa(luck.IntN(3)))
	response, err := f.client.Do(r)
	if o.err = err; err == nil {
		o.status = response.StatusCode
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
	}
	return o
}

// TestViewsThatDiverge keeps every member's view different from the others' and
// changing, while connections fail before and after the requests on them have run. In
// spite of that no member forwards a request that another router has forwarded, and no
// request runs twice that is not idempotent.
func TestViewsThatDiverge(t *testing.T) {
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	first := *routerSeed
	if first == 0 {
		first = rand.Uint64()
	}
	var total route.Stats
	for round := range rounds {
		diverge(t, first+uint64(round), &total)
	}
	// There were as many failures as intended, and most requests were answered.
	for name, result := range map[string]route.Attempts{"answered": total.Answered, "refused": total.Refused, "unreachable": total.Unreachable, "broken": total.Broken} {
		require.Greater(t, sum(result), uint64(10*rounds), name)
	}
	require.Greater(t, total.Retries, uint64(50*rounds))
	t.Logf("%d rounds: %d answered, %d refused, %d unreachable, %d broken, %d sent again, %d given up",
		rounds, sum(total.Answered), sum(total.Refused), sum(total.Unreachable),
		sum(total.Broken), total.Retries, total.GaveUp)
}

func diverge(t *testing.T, seed uint64, total *route.Stats) {
	defer func() {
		if t.Failed() {
			t.Logf("to see it again: go test -run '^TestViewsThatDiverge$' -router.seed %d ./transport/route", seed)
		}
	}()
	const (
		members     = 5
		callers     = 8
		requests    = 40 // the requests of each caller
		maxAttempts = 6
	)
	l := &ledger{ran: map[string]int{}, sent: map[string]map[string]bool{}, sends: map[string]int{}, arrived: map[string]bool{}}
	chance := func(stream uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, stream)) }
	number := uint64(0)
	f := newFleet(t, func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get("Id")
		l.note(func() { l.ran[id]++ })
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodGet && string(body) != "body of "+id {
			w.WriteHeader(http.StatusTeapot)
		}
	}, func(o *route.Options) {
		number++
		me, luck := "n"+strconv.FormatUint(number, 10), chance(number)
		o.Patience, o.MaxAttempts, o.AvoidFor = 20*time.Millisecond, maxAttempts, 5*time.Millisecond
		o.Policy = func(r *http.Request) route.Policy {
			policy, _ := strconv.Atoi(r.Header.Get("Policy"))
			return route.Policy(policy)
		}
		o.Wrap = func(next http.RoundTripper) http.RoundTripper { return l.failing(next, me, luck) }
	}, "eu/a", "eu/a", "eu/b", "eu/b", "us/c")
	for _, s := range f.stations {
		s.put(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get(wire.ForwardedHeader) != "" {
				l.note(func() { l.arrived[r.Header.Get("Id")] = true })
			}
			s.router.ServeHTTP(w, r)
		}))
	}

	// Views change all the time, independent of each other.
	luck := chance(100)
	shuffle := func(member int) {
		order := luck.Perm(members)[:1+luck.IntN(3)]
		for i := range order {
			order[i]++
		}
		f.believe(member, order...)
	}
	for member := range members {
		shuffle(member + 1)
	}
	done := make(chan struct{})
	var churn sync.WaitGroup
	churn.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				shuffle(1 + luck.IntN(members))
			case <-done:
				return
			}
		}
	})

	outcomes := make(chan outcome, callers*requests)
	var calling sync.WaitGroup
	for caller := range callers {
		calling.Go(func() {
			luck := chance(200 + uint64(caller))
			for i := range requests {
				outcomes <- f.askAtRandom(t.Context(), luck, strconv.Itoa(caller)+"-"+strconv.Itoa(i))
			}
		})
	}
	calling.Wait()
	close(done)
	churn.Wait()
	close(outcomes)

	for o := range outcomes {
		l.check(t, o, maxAttempts)
	}
	require.NotEmpty(t, l.arrived)
	for member := range members {
		s := f.stats(member + 1)
		total.Retries += s.Retries
		total.GaveUp += s.GaveUp
		total.Answered.Local += sum(s.Answered)
		total.Refused.Local += sum(s.Refused)
		total.Unreachable.Local += sum(s.Unreachable)
		total.Broken.Local += sum(s.Broken)
	}
}
