package hostile

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
)

const (
	// fullEnv is how long each attack lasts in the full form, as 30s. Without it the short form runs.
	//
	//	CLUSTERKIT_HOSTILE=30s go test -timeout 3h ./clusterkit_test/hostile -v
	fullEnv = "CLUSTERKIT_HOSTILE"

	memoryDuring = 128 << 20 // above rest
	memoryAfter  = 16 << 20
	endsWithin   = 10 * time.Second // after an attack
	spare        = 16               // goroutines: probes of members that do not exist go on for a minute
	// starved is the median of look-ups from which on the processes get too little CPU time to say
	// anything about failures: the attackers run on the same machine.
	starved = 500 * time.Millisecond
)

// measured is what one attack has cost.
type measured struct {
	rest, peak, after     int64   // resident bytes, of the member with the most
	busy                  float64 // processors that the member with the most has used during the attack
	before, during, later lookups
	goroutines, left      int
	failed                int             // honest members that were declared failed
	strangers             map[string]bool // NodeIDs that a member believed and that do not exist
}

// lookups are the times of look-ups over HTTP, and of a join.
type lookups struct {
	p50, p99, join time.Duration
	errors         int
}

// TestHostile runs each attack against three members, in clear and with keys, from one and from
// eight addresses, and prints a table. The short form runs a few of them for a second each. It
// asserts what does not depend on the load of the machine.
func TestHostile(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("it reads /proc, and uses all of 127.0.0.0/8")
	}
	if testing.Short() {
		t.Skip("processes that are attacked")
	}
	lasts, full := time.Second, os.Getenv(fullEnv) != ""
	if full {
		lasts = must(time.ParseDuration(os.Getenv(fullEnv)))
	}
	var table strings.Builder
	table.WriteString("| gossip | attack | addresses | memory: rest, most, after (MiB) | processors | look-up p50/p99 before, during (ms) | join before, during, after (s) | wrongly failed | strangers believed |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, gossip := range []string{"in clear", "with keys"} {
		t.Run(gossip, func(t *testing.T) {
			key := ""
			if gossip == "with keys" {
				key = "0123456789abcdef0123456789abcdef"
			}
			var all []*process
			var seeds []string
			for i := 1; i <= 3; i++ {
				p := startProcess(t, fmt.Sprint("n", i), fmt.Sprint("127.0.101.", i), key, seeds...)
				all = append(all, p)
				seeds = append(seeds, p.Gossip)
			}
			for _, a := range attacks {
				for _, addresses := range []int{1, 8} {
					if !full && (!a.short || addresses == 1) {
						continue
					}
					t.Run(fmt.Sprintf("%s from %d", a.name, addresses), func(t *testing.T) {
						m := measure(t, a, all, addresses, key, lasts, full)
						m.row(&table, gossip, a.name, addresses)
						require.Less(t, m.peak-m.rest, int64(memoryDuring), "memory during the attack")
						require.Less(t, m.after-m.rest, int64(memoryAfter), "memory after the attack")
						require.LessOrEqual(t, m.left, m.goroutines+spare, "goroutines after the attack")
						if m.during.p50 < starved {
							require.Zero(t, m.failed, "honest members that were declared failed")
						}
						if key != "" {
							require.Empty(t, m.strangers)
						}
					})
				}
			}
		})
	}
	t.Log("\n" + table.String())
}

func (m measured) row(w io.Writer, gossip, name string, addresses int) {
	mib := func(n int64) int64 { return n >> 20 }
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	_, _ = fmt.Fprintf(w, "| %s | %s | %d | %d, %d, %d | %.2f | %.1f/%.1f, %.1f/%.1f | %.1f, %.1f, %.1f | %d | %d |\n", gossip, name, addresses,
		mib(m.rest), mib(m.peak), mib(m.after), m.busy, ms(m.before.p50), ms(m.before.p99), ms(m.during.p50), ms(m.during.p99),
		m.before.join.Seconds(), m.during.join.Seconds(), m.later.join.Seconds(), m.failed, len(m.strangers))
}

// measure runs one attack.
func measure(t *testing.T, a attack, all []*process, addresses int, key string, lasts time.Duration, full bool) measured {
	t.Helper()
	v := victims{members: all}
	for i := range addresses {
		v.from = append(v.from, net.IPv4(127, 0, 102, byte(1+i)))
	}
	for _, p := range all {
		v.gossip, v.http = append(v.gossip, p.Gossip), append(v.http, p.HTTP)
	}
	m := measured{strangers: make(map[string]bool)}
	waitForRest(t, all)
	if full {
		m.before = honest(t, all, key, lasts/6)
	}
	failures := 0
	for _, p := range all {
		s := p.ask(t, true)
		m.goroutines, failures = max(m.goroutines, s.Goroutines), failures+s.Failed
		m.rest = max(m.rest, p.resident(t))
	}
	begun, busy := time.Now(), make([]time.Duration, len(all))
	for i, p := range all {
		busy[i] = p.busy(t)
	}
	ctx, stop := context.WithTimeout(t.Context(), lasts)
	defer stop()
	var under sync.WaitGroup
	under.Go(func() { a.run(ctx, v) })
	under.Go(func() {
		for ctx.Err() == nil {
			for _, p := range all {
				m.peak = max(m.peak, p.resident(t))
				for _, id := range p.ask(t, false).Members {
					if !slices.Contains([]string{"n1", "n2", "n3", "joiner"}, id) {
						m.strangers[id] = true
					}
				}
			}
			pause(ctx, 100*time.Millisecond)
		}
	})
	pause(ctx, lasts/10)
	m.during = honest(t, all, key, lasts*7/10)
	under.Wait()
	for i, p := range all {
		m.busy = max(m.busy, float64(p.busy(t)-busy[i])/float64(time.Since(begun)))
	}

	ends := time.Now().Add(endsWithin)
	for {
		m.after, m.left = 0, 0
		for _, p := range all {
			m.left = max(m.left, p.ask(t, true).Goroutines)
			m.after = max(m.after, p.resident(t))
		}
		if m.after-m.rest < memoryAfter && m.left <= m.goroutines+spare || time.Now().After(ends) {
			break
		}
		pause(t.Context(), 200*time.Millisecond)
	}
	if full {
		m.later = honest(t, all, key, lasts/6)
	}
	for _, p := range all {
		m.failed += p.ask(t, false).Failed
	}
	m.failed -= failures
	return m
}

// waitForRest waits until the members list each other alone.
func waitForRest(t *testing.T, all []*process) {
	t.Helper()
	require.Eventually(t, func() bool {
		for _, p := range all {
			if !slices.Equal(p.ask(t, false).Members, []string{"n1", "n2", "n3"}) {
				return false
			}
		}
		return true
	}, 5*time.Minute, 100*time.Millisecond, "the members do not come to rest")
}

// honest makes look-ups for a time, and lets one member join meanwhile.
func honest(t *testing.T, all []*process, key string, lasts time.Duration) (l lookups) {
	t.Helper()
	var joining sync.WaitGroup
	joining.Go(func() { l.join = join(t, all, key) })
	defer joining.Wait()
	transport := &http.Transport{DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 103, 1)}}).DialContext}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 5 * time.Second}
	var took []time.Duration
	for end := time.Now().Add(lasts); time.Now().Before(end); {
		begun := time.Now()
		resp, err := client.Get(fmt.Sprintf("http://%s/v1/lookup?key=%d", all[len(took)%len(all)].HTTP, len(took)))
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
		if err != nil || resp.StatusCode != http.StatusOK {
			l.errors++
		}
		took = append(took, time.Since(begun))
		pause(t.Context(), 5*time.Millisecond)
	}
	slices.Sort(took)
	l.p50, l.p99 = took[len(took)/2], took[len(took)*99/100]
	return l
}

// join returns how long a member takes to join, that is until Start has returned and it sees all
// members. It leaves again.
func join(t *testing.T, all []*process, key string) time.Duration {
	var seeds []string
	for _, p := range all {
		seeds = append(seeds, p.Gossip)
	}
	c, err := cluster.New(options("joiner", "127.0.101.9", key, seeds))
	if err != nil {
		t.Error(err)
		return 0
	}
	defer func() {
		leaving, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = c.Stop(leaving)
	}()
	begun := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := c.Start(ctx); err != nil {
		t.Errorf("joining: %v", err)
	}
	for ctx.Err() == nil {
		found := 0
		for _, m := range c.Members() {
			if strings.HasPrefix(m.ID, "n") {
				found++
			}
		}
		if found == len(all) {
			return time.Since(begun)
		}
		pause(ctx, 5*time.Millisecond)
	}
	t.Error("a member has not joined within a minute")
	return time.Since(begun)
}
