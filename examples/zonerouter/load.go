package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/clusterkit/clusterkit/examples/internal/demo"
)

// load sends requests to members, each caller one after the other.
type load struct {
	to      []*demo.Process
	query   string
	readers int // the number of readers at each member
	writers int // the number of writers at each member
}

// measured holds the results of a load.
type measured struct {
	reads, writes []time.Duration // the durations of answered requests
	crossed       int             // the number of reads that were answered in another zone
	served        map[string]int  // reads by the member that answered
	cutOff        int             // writes whose connection broke, so that they may have run
	failedReads   []error
	failedWrites  []error // for any other reason
}

// run sends requests until the context ends, and waits for the last answers.
func (l load) run(ctx context.Context) measured {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: l.readers + l.writers}}
	defer client.CloseIdleConnections()
	total := measured{served: make(map[string]int)}
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, p := range l.to {
		for i := range l.readers + l.writers {
			all.Go(func() {
				m := measured{served: make(map[string]int)}
				for ctx.Err() == nil {
					l.call(client, p, i >= l.readers, &m)
				}
				mu.Lock()
				defer mu.Unlock()
				total.add(m)
			})
		}
	}
	all.Wait()
	slices.Sort(total.reads)
	slices.Sort(total.writes)
	return total
}

// call sends one request, and records its result.
func (l load) call(client *http.Client, p *demo.Process, write bool, m *measured) {
	method := http.MethodGet
	if write {
		method = http.MethodPost
	}
	key := fmt.Sprintf("user:%d", rand.N(5000))
	failed := &m.failedReads
	if write {
		failed = &m.failedWrites
	}
	// Not the load's context, so that the last requests are answered too.
	r, err := http.NewRequestWithContext(context.Background(), method, "http://"+p.Service+"/kv/"+key+l.query, nil)
	if err != nil {
		*failed = append(*failed, err)
		return
	}
	began := time.Now()
	response, err := client.Do(r)
	if err != nil {
		*failed = append(*failed, err)
		return
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close() // after the whole body was read
	took := time.Since(began)
	switch {
	case err != nil:
		*failed = append(*failed, err)
	case write && response.StatusCode == http.StatusBadGateway:
		m.cutOff++
	case response.StatusCode != http.StatusOK:
		*failed = append(*failed, fmt.Errorf("%s %s at %s: %s: %s", method, key, p.ID, response.Status, body))
	case write:
		m.writes = append(m.writes, took)
	default:
		m.reads = append(m.reads, took)
		m.served[response.Header.Get(servedBy)]++
		if response.Header.Get(servedIn) != p.Zone {
			m.crossed++
		}
	}
}

func (m *measured) add(o measured) {
	m.reads, m.writes = append(m.reads, o.reads...), append(m.writes, o.writes...)
	m.crossed += o.crossed
	m.cutOff += o.cutOff
	m.failedReads, m.failedWrites = append(m.failedReads, o.failedReads...), append(m.failedWrites, o.failedWrites...)
	for id, n := range o.served {
		m.served[id] += n
	}
}

// failure returns an error for results that must not occur, and nil if there are none.
func (m measured) failure() error {
	if all := append(slices.Clone(m.failedReads), m.failedWrites...); len(all) > 0 {
		return fmt.Errorf("%d requests failed, first: %w", len(all), all[0])
	}
	return nil
}

// share returns the share of reads that crossed zones.
func (m measured) share() float64 { return float64(m.crossed) / float64(max(len(m.reads), 1)) }

// quantile returns the longest time of a given share of the fastest requests.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(q*float64(len(sorted)-1))]
}
