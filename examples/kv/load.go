package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/clusterkit/clusterkit/examples/internal/demo"
)

const (
	writers    = 4
	readers    = 4
	keysEach   = 30                    // the keys of a writer
	writePause = 20 * time.Millisecond // between two writes of one writer
	readPause  = 10 * time.Millisecond
	briefPace  = 3   // how many times longer the pauses are in the short form
	deletions  = 0.1 // the share of writes that delete
	onceEvery  = 5   // writes go to a key of its own

	tolerance = 2 * time.Second // the limit for one answer
	shun      = 3 * time.Second // how long a member that did not answer is not asked
)

// load simulates the users of the store. It goes on until the context ends.
type load struct {
	client *http.Client
	pace   int       // how many times longer the pauses are
	hot    []*ledger // written and read again and again

	mu sync.Mutex
	// once are keys that are written once and not read before the end. A lost write of
	// the other keys may stay unnoticed, because the next write or read repair replaces
	// it.
	once    []*ledger
	members []*demo.Process
	shunned map[*demo.Process]time.Time
	tally
}

// tally holds the results of the load.
type tally struct {
	reads, writes, deletes int // successful requests
	stale                  int // reads that missed a write that was acknowledged before them
	errors                 map[string]int
	wrong                  error // the first impossible answer
}

func newLoad(pace int) *load {
	l := &load{
		pace:    pace,
		client:  &http.Client{Timeout: tolerance, Transport: &http.Transport{MaxIdleConnsPerHost: writers + readers}},
		shunned: make(map[*demo.Process]time.Time), tally: tally{errors: make(map[string]int)},
	}
	for i := range writers * keysEach {
		l.hot = append(l.hot, newLedger("key-%d", i))
	}
	return l
}

// run reads and writes until the context ends. Each reader reads the hot keys in turn.
// Each writer writes its own keys in turn, and keys that are written once.
func (l *load) run(ctx context.Context) {
	var wait sync.WaitGroup
	for i := range writers {
		random := rand.New(rand.NewPCG(1, uint64(i)))
		mine := l.hot[i*keysEach : (i+1)*keysEach]
		wait.Go(func() {
			n := 0
			l.worker(ctx, writePause, mine, 0, func(k *ledger) {
				if n++; n%onceEvery == 0 {
					k = l.another()
				}
				l.write(k, random)
			})
		})
	}
	for i := range readers {
		random := rand.New(rand.NewPCG(2, uint64(i)))
		wait.Go(func() {
			l.worker(ctx, readPause, l.hot, i*len(l.hot)/readers, func(k *ledger) { l.read(k, random) })
		})
	}
	wait.Wait()
}

func (l *load) worker(ctx context.Context, pause time.Duration, keys []*ledger, from int, do func(*ledger)) {
	tick := time.NewTicker(pause * time.Duration(l.pace))
	defer tick.Stop()
	for i := from; ; i++ {
		select {
		case <-tick.C:
			do(keys[i%len(keys)])
		case <-ctx.Done():
			return
		}
	}
}

// another returns a key that has not been written.
func (l *load) another() *ledger {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := newLedger("once-%d", len(l.once))
	l.once = append(l.once, k)
	return k
}

func (l *load) write(k *ledger, random *rand.Rand) {
	method := http.MethodPut
	if random.Float64() < deletions {
		method = http.MethodDelete
	}
	content, m := k.send(method == http.MethodDelete), l.pick(random)
	v, _, err := l.do(method, m, k.key, content)
	if err == nil {
		err = k.acknowledged(v, content)
	}
	l.count(func(t *tally) {
		if method == http.MethodPut {
			t.writes++
		} else {
			t.deletes++
		}
	}, m, err)
}

func (l *load) read(k *ledger, random *rand.Rand) {
	before := k.known()
	m := l.pick(random)
	v, content, err := l.do(http.MethodGet, m, k.key, "")
	stale := false
	if err == nil {
		stale, err = k.saw(before, v, content)
	}
	l.count(func(t *tally) {
		t.reads++
		if stale {
			t.stale++
		}
	}, m, err)
}

// requestFailure is an error that users of the store must expect.
type requestFailure struct {
	kind string
	err  error
}

func (e *requestFailure) Error() string { return e.kind + ": " + e.err.Error() }

// count counts a successful request, or the reason of its failure.
func (l *load) count(success func(*tally), m *demo.Process, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	failure, ok := errors.AsType[*requestFailure](err)
	switch {
	case err == nil:
		success(&l.tally)
	case !ok:
		if l.wrong == nil {
			l.wrong = err
		}
	default:
		l.errors[failure.kind]++
		if failure.kind != noQuorumKind {
			l.shunned[m] = time.Now().Add(shun)
		}
	}
}

// pick chooses a member like a load balancer: none that did not answer just before.
func (l *load) pick(random *rand.Rand) *demo.Process {
	l.mu.Lock()
	defer l.mu.Unlock()
	var good []*demo.Process
	for _, m := range l.members {
		if time.Now().After(l.shunned[m]) {
			good = append(good, m)
		}
	}
	if len(good) == 0 {
		good = l.members
	}
	return good[random.IntN(len(good))]
}

// over sets the members that get requests.
func (l *load) over(members []*demo.Process) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.members = append([]*demo.Process(nil), members...)
}

// soFar returns the results so far.
func (l *load) soFar() tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tally
}

const noQuorumKind = "no quorum"

// do sends a request to a member, and returns the version and the value of the answer.
// The value is empty when there is none.
func (l *load) do(method string, m *demo.Process, key, content string) (v Version, value string, err error) {
	request, err := http.NewRequest(method, "http://"+m.HTTP+"/kv/"+key, strings.NewReader(content))
	if err != nil {
		return Version{}, "", err
	}
	response, err := l.client.Do(request)
	if err != nil {
		return Version{}, "", &requestFailure{kindOf(err), err}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return Version{}, "", &requestFailure{kindOf(err), err}
	case response.StatusCode == http.StatusServiceUnavailable:
		return Version{}, "", &requestFailure{noQuorumKind, errors.New(string(body))}
	case response.StatusCode == http.StatusNotFound:
		body = nil
	case response.StatusCode >= 300:
		return Version{}, "", fmt.Errorf("%s %s: %s: %s", method, key, response.Status, body)
	}
	if text := response.Header.Get(versionHeader); text != "" {
		err = v.UnmarshalText([]byte(text))
	}
	return v, string(body), err
}

func kindOf(err error) string {
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timed out"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	default:
		return "cut off"
	}
}
