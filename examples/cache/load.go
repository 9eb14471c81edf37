package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/clusterkit/clusterkit/examples/internal/demo"
)

const (
	keys      = 1 << 13
	skew      = 1.1                  // the skew of the Zipf distribution: the first key is read by far the most
	updates   = 0.05                 // writes for each read, beside those after a miss
	readers   = 6                    // readers at the same time, equally many in each zone
	pace      = 2 * time.Millisecond // the wait between two reads of one reader
	tolerance = 30 * time.Second     // the limit for one answer, also on a busy machine
)

// untilDone is the number of reads of a load that goes on until its context ends.
const untilDone = math.MaxInt

var zones = []string{"a", "b", "c"}

// load simulates the users of the cache: they read a key, and after a miss write the
// value that they have fetched from its source.
type load struct {
	client *http.Client
	runs   uint64 // the seed of the next run
}

func newLoad() *load {
	return &load{client: &http.Client{Timeout: tolerance, Transport: &http.Transport{MaxIdleConnsPerHost: readers}}}
}

// tally holds the results of a load.
type tally struct {
	reads, hits, fills, misses int // fills: hits by the grace of another owner
	near                       int // answered in the zone of the reader
	writes, everywhere         int // everywhere: stored by all owners
	failed                     int
	err                        error // the first failure
}

func (t *tally) add(u tally) {
	t.reads += u.reads
	t.hits += u.hits
	t.fills += u.fills
	t.misses += u.misses
	t.near += u.near
	t.writes += u.writes
	t.everywhere += u.everywhere
	t.failed += u.failed
	if t.err == nil {
		t.err = u.err
	}
}

// hitRate returns the share of reads that found a value.
func (t *tally) hitRate() float64 { return share(t.hits+t.fills, t.reads) }

// share returns a part of all, in percent.
func share(part, all int) float64 { return 100 * float64(part) / float64(max(all, 1)) }

// run reads from the members, for a total number of reads or until the context ends. It
// adds a query to every read.
func (l *load) run(ctx context.Context, members []*demo.Process, reads int, query string) (total tally) {
	l.runs++
	var (
		wait sync.WaitGroup
		mu   sync.Mutex
	)
	for i := range readers {
		zone := zones[i%len(zones)]
		var near []*demo.Process // each reader knows the members of its zone
		for _, m := range members {
			if m.Zone == zone {
				near = append(near, m)
			}
		}
		random := rand.New(rand.NewPCG(l.runs, uint64(i)))
		wait.Go(func() {
			t := l.reader(ctx, zone, near, random, reads/readers, query)
			mu.Lock()
			defer mu.Unlock()
			total.add(t)
		})
	}
	wait.Wait()
	return total
}

func (l *load) reader(ctx context.Context, zone string, near []*demo.Process, random *rand.Rand, reads int, query string) (t tally) {
	popularity := rand.NewZipf(random, skew, 1, keys-1)
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for range reads {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return t
		}
		key := fmt.Sprintf("article:%d", popularity.Uint64())
		hit := l.read(&t, key, zone, query, near, random)
		if !hit || random.Float64() < updates {
			l.write(&t, key, near, random)
		}
	}
	return t
}

func (l *load) read(t *tally, key, zone, query string, near []*demo.Process, random *rand.Rand) (hit bool) {
	status, header, content, err := l.do(http.MethodGet, key+query, nil, near, random)
	t.reads++
	switch {
	case err == nil && status == http.StatusOK && !strings.HasPrefix(string(content), key+" "):
		err = fmt.Errorf("%s is %q", key, content)
	case err == nil && status != http.StatusOK && status != http.StatusNotFound:
		err = fmt.Errorf("reading %s: status %d: %s", key, status, content)
	}
	if err != nil {
		t.fail(err)
		return false
	}
	if header.Get(zoneHeader) == zone {
		t.near++
	}
	switch header.Get(resultHeader) {
	case "hit":
		t.hits++
	case "fill":
		t.fills++
	default:
		t.misses++
		return false
	}
	return true
}

func (l *load) write(t *tally, key string, near []*demo.Process, random *rand.Rand) {
	content := fmt.Appendf(nil, "%s as of %v", key, time.Now())
	status, header, answer, err := l.do(http.MethodPut, key, content, near, random)
	t.writes++
	if err == nil && status != http.StatusNoContent {
		err = fmt.Errorf("writing %s: status %d: %s", key, status, answer)
	}
	if err != nil {
		t.fail(err)
		return
	}
	if stored, all, _ := strings.Cut(header.Get(storedHeader), "/"); stored == all {
		t.everywhere++
	}
}

func (t *tally) fail(err error) {
	t.failed++
	if t.err == nil {
		t.err = err
	}
}

// do sends a request to one member of the zone, and to the next one when that fails, as
// a load balancer does.
func (l *load) do(method, key string, body []byte, near []*demo.Process, random *rand.Rand) (int, http.Header, []byte, error) {
	err := errors.New("no member in this zone")
	first := random.IntN(max(len(near), 1))
	for i := range near {
		var request *http.Request
		var response *http.Response
		member := near[(first+i)%len(near)]
		if request, err = http.NewRequest(method, "http://"+member.HTTP+"/cache/"+key, bytes.NewReader(body)); err != nil {
			return 0, nil, nil, err
		}
		if response, err = l.client.Do(request); err != nil {
			continue
		}
		var content []byte
		content, err = io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err == nil {
			return response.StatusCode, response.Header, content, nil
		}
	}
	return 0, nil, nil, err
}
