package hostile

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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
	// starved is the median of lookups from which on the processes get too little CPU time to say
	// anything about failures: the attackers run on the same machine.
	starved = 500 * time.Millisecond
	// contended is how many threads of a member wait for a processor, on average, from which on times
	// say more about the machine than about the library.
	contended = 0.1
	// usualP99 is the least that the 99th percentile of lookups counts as without an attack.
	usualP99 = 2 * time.Millisecond
)

// measured is what one attack has cost.
type measured struct {
	rest, peak, after     int64   // resident bytes, of the member with the most
	ran, waited           float64 // during the attack, of the member with the most: processors that it has used, and threads that waited for one
	before, during, later lookups
	goroutines, left      int
	failed                int             // honest members that were declared failed
	strangers             map[string]bool // NodeIDs that a member believed and that do not exist
	released              int64           // partitions whose data members have deleted
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
	table.WriteString("| gossip | attack | addresses | memory: rest, most, after (MiB) | processors used, waited for | lookup p50/p99 before, during (ms) | join before, during, after (s) | wrongly failed | strangers believed |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, gossip := range []string{"in clear", "with keys"} {
		for _, mode := range []string{"", withHandoff} {
			attacks := slices.DeleteFunc(slices.Clone(attacks), func(a attack) bool { return a.mode != mode || !full && !a.short })
			if len(attacks) == 0 {
				continue
			}
			t.Run(strings.TrimSpace(gossip+" "+mode), func(t *testing.T) {
				key := ""
				if gossip == "with keys" {
					key = "0123456789abcdef0123456789abcdef"
				}
				all := startAll(t, key, mode)
				for _, a := range attacks {
					for _, addresses := range []int{1, 8} {
						if !full && addresses == 1 {
							continue
						}
						t.Run(fmt.Sprintf("%s from %d", a.name, addresses), func(t *testing.T) {
							m := measure(t, a, all, addresses, key, lasts, full)
							m.row(&table, gossip, a.name, addresses)
							m.check(t, a, key, full)
						})
					}
				}
			})
		}
	}
	t.Log("\n" + table.String())
}

// startAll starts three members. With handoff, the third one drains, and the others never merge its
// partitions.
func startAll(t *testing.T, key, mode string) (all []*process) {
	t.Helper()
	var seeds []string
	for i := 1; i <= 3; i++ {
		p := startProcess(t, fmt.Sprint("n", i), fmt.Sprint("127.0.101.", i), key, mode, seeds...)
		all = append(all, p)
		seeds = append(seeds, p.Gossip)
	}
	if mode != withHandoff {
		return all
	}
	waitForRest(t, all)
	require.Eventually(t, func() bool {
		moving := 0
		for _, p := range all {
			moving += p.ask(t, "").Moving
		}
		return moving == 0
	}, time.Minute, 100*time.Millisecond, "the members do not share the partitions")
	all[0].ask(t, "stick")
	all[1].ask(t, "stick")
	all[2].ask(t, "drain")
	require.Eventually(t, func() bool { return all[2].ask(t, "").Moving > 0 }, time.Minute, 100*time.Millisecond, "nothing is handed over")
	return all
}

// check asserts what does not depend on the load of the machine. When the members waited little for
// processors, it asserts that lookups and joins are as fast as without an attack too.
func (m measured) check(t *testing.T, a attack, key string, full bool) {
	t.Helper()
	require.Less(t, m.peak-m.rest, int64(memoryDuring), "memory during the attack")
	require.Less(t, m.after-m.rest, int64(memoryAfter), "memory after the attack")
	require.LessOrEqual(t, m.left, m.goroutines+spare, "goroutines after the attack")
	if m.during.P50 < starved {
		require.Zero(t, m.failed, "honest members that were declared failed")
	}
	if key != "" {
		require.Empty(t, m.strangers)
	} else if a.ghosts && full { // in a second, the pace of strangers may let none of these messages in
		require.NotEmpty(t, m.strangers, "the attack is refused for another reason")
	}
	require.Zero(t, m.released, "partitions that were released")
	if m.before.P99 > 0 && m.waited < contended {
		require.LessOrEqual(t, m.during.P99, 3*max(m.before.P99, usualP99), "lookups during the attack")
		require.LessOrEqual(t, m.during.Join, m.before.Join+2*time.Second, "a join during the attack")
	}
}

func (m measured) row(w io.Writer, gossip, name string, addresses int) {
	mib := func(n int64) int64 { return n >> 20 }
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	_, _ = fmt.Fprintf(w, "| %s | %s | %d | %d, %d, %d | %.2f, %.2f | %.1f/%.1f, %.1f/%.1f | %.1f, %.1f, %.1f | %d | %d |\n", gossip, name, addresses,
		mib(m.rest), mib(m.peak), mib(m.after), m.ran, m.waited, ms(m.before.P50), ms(m.before.P99), ms(m.during.P50), ms(m.during.P99),
		m.before.Join.Seconds(), m.during.Join.Seconds(), m.later.Join.Seconds(), m.failed, len(m.strangers))
}

// measure runs one attack.
func measure(t *testing.T, a attack, all []*process, addresses int, key string, lasts time.Duration, full bool) measured {
	t.Helper()
	v := victims{}
	for i := range addresses {
		v.From = append(v.From, net.IPv4(127, 0, 102, byte(1+i)))
	}
	for _, p := range all {
		v.Members = append(v.Members, victim{p.id(), p.Nonce, p.HTTP, p.Gossip})
	}
	m := measured{strangers: make(map[string]bool)}
	waitForRest(t, all)
	if a.records {
		v.Recorded = record(t, all, key)
		waitForRest(t, all)
	}
	if full {
		m.before = honest(t, all, key, a.mode, lasts/6)
	}
	failures := 0
	for _, p := range all {
		s := p.ask(t, "collect")
		m.goroutines, failures = max(m.goroutines, s.Goroutines), failures+s.Failed
		m.released -= s.Released
		m.rest = max(m.rest, p.resident(t))
	}
	begun, ran, waited := time.Now(), make([]time.Duration, len(all)), make([]time.Duration, len(all))
	for i, p := range all {
		ran[i], waited[i] = p.processors(t)
	}
	ctx, stop := context.WithTimeout(t.Context(), lasts)
	defer stop()
	var under sync.WaitGroup
	under.Go(func() { launch(ctx, t, a, v, full) })
	under.Go(func() {
		for ctx.Err() == nil {
			for _, p := range all {
				m.peak = max(m.peak, p.resident(t))
				for _, id := range p.ask(t, "").Members {
					if !slices.Contains([]string{"n1", "n2", "n3", "joiner"}, id) {
						m.strangers[id] = true
					}
				}
			}
			pause(ctx, 100*time.Millisecond)
		}
	})
	pause(ctx, lasts/10)
	m.during = honest(t, all, key, a.mode, lasts*7/10)
	under.Wait()
	for i, p := range all {
		now, wait := p.processors(t)
		m.ran = max(m.ran, float64(now-ran[i])/float64(time.Since(begun)))
		m.waited = max(m.waited, float64(wait-waited[i])/float64(time.Since(begun)))
	}

	ends := time.Now().Add(endsWithin)
	for {
		m.after, m.left = 0, 0
		for _, p := range all {
			m.left = max(m.left, p.ask(t, "collect").Goroutines)
			m.after = max(m.after, p.resident(t))
		}
		if m.after-m.rest < memoryAfter && m.left <= m.goroutines+spare || time.Now().After(ends) {
			break
		}
		pause(t.Context(), 200*time.Millisecond)
	}
	if full {
		m.later = honest(t, all, key, a.mode, lasts/6)
	}
	for _, p := range all {
		s := p.ask(t, "")
		m.failed, m.released = m.failed+s.Failed, m.released+s.Released
	}
	m.failed -= failures
	return m
}

// waitForRest waits until the members list each other alone.
func waitForRest(t *testing.T, all []*process) {
	t.Helper()
	want := []string{"n1", "n2", "n3"}
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		for _, p := range all {
			require.Equal(c, want, p.ask(t, "").Members, p.id())
		}
	}, 5*time.Minute, 100*time.Millisecond, "the members do not come to rest")
}

// honest runs a process that makes lookups for a time, and lets one member join meanwhile.
func honest(t *testing.T, all []*process, key, mode string, lasts time.Duration) (l lookups) {
	t.Helper()
	args := []string{key, mode}
	for _, p := range all {
		args = append(args, p.HTTP, p.Gossip)
	}
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), honestEnv+"="+lasts.String())
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(out, &l))
	if l.Failure != "" {
		t.Error(l.Failure)
	}
	return l
}
