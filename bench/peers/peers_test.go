package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/clusterkit/clusterkit/bench/internal/measure"
	"github.com/clusterkit/clusterkit/ring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// few is a size that builds quickly.
var few = size{members: 7, partitions: 512}

// probesEnd is how long the last probes of memberlist may run after a member stopped.
const probesEnd = 40 * time.Second

// Every adapter except the running cluster passes gate and can be built at the first
// measured size. The test lists the adapters with three owners, so that none is lost
// unnoticed.
func TestAdaptersPassTheGate(t *testing.T) {
	list := slices.DeleteFunc(adapters(), func(a adapter) bool { return a.most > 0 })
	require.Len(t, list, len(adapters())-1)
	var told bytes.Buffer
	sc := newScenario(sizes[0], list, &told)
	defer sc.end()
	require.Empty(t, told.String())
	require.Len(t, sc.entrants, len(list))
	var three []string
	for _, a := range sc.entrants {
		if a.three != nil {
			three = append(three, a.name)
		}
	}
	require.Equal(t, []string{
		"xxhash", "xxhash, one load",
		"clusterkit atomic pointer", "clusterkit ring", "clusterkit ring, bytes",
		"consistent, bytes", "consistent, bytes, 271", "olric routing table", "dskit ring", "ringpop hashring",
		"stathat consistent", "serialx hashring", "ckit ring", "ckit rendezvous", "ckit multiprobe",
	}, three)
}

// All uses of clusterkit give the same answers. The cluster passes gate too, here in
// virtual time.
func TestClusterkitAdaptersAgree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := randomKeys(gateKeys)
		var want []int
		for _, a := range []adapter{clusterkitPointer, clusterkitRing, clusterkitBytes, clusterkitCluster} {
			require.NoError(t, a.pass(k))
			s, err := a.construct(gateIDs(), few.partitions)
			require.NoError(t, err)
			var got []int
			for i := range k.len() {
				got = append(got, s.primary(k.part(i, i+1)), s.three(k.part(i, i+1)))
			}
			s.end()
			if want == nil {
				want = got
			}
			require.Equal(t, want, got, a.name)
		}
		time.Sleep(probesEnd)
	})
}

func TestGateRefuses(t *testing.T) {
	k, calls := randomKeys(8), 0
	each := func(sum int) func(keys) int { return func(k keys) int { return sum * k.len() } }
	require.NoError(t, gate(each(1+8+64), k, 3))
	for name, c := range map[string]struct {
		ask  func(keys) int
		want string
	}{
		"an owner short":    {each(8 + 64), "are not 3 members"},
		"an owner too many": {each(1 + 2 + 8 + 64), "are not 3 members"},
		"an owner twice":    {each(8 + 8 + 64), "are not 3 members"},
		"an owner thrice":   {each(8 + 8 + 8), "are not 3 members"},
		"an unknown owner":  {each(1 + 8 + 256), "are not 3 members"},
		"no owner":          {each(0), "are not 3 members"},
		"a panic":           {func(keys) int { panic("no room") }, "panic: no room"},
		"changing answers":  {func(keys) int { calls++; return 7 << (calls % 2) }, "when asked again"},
		"a loop that ends early": {func(k keys) int {
			return 7 * min(k.len(), 4)
		}, "asked about all keys at once"},
	} {
		require.ErrorContains(t, gate(c.ask, k, 3), c.want, name)
	}
}

// A whole run of few adapters: each case is in a table. An adapter with wrong answers,
// and an adapter that panics while it is built, are named and left out.
func TestReport(t *testing.T) {
	two := adapter{name: "two", build: func(members []string, _ int) (*subject, error) {
		first := func(k keys) int { return k.len() * len(members[0]) }
		return &subject{primary: first, three: func(k keys) int { return k.len() * (len(members[0]) + len(members[1])) }}, nil
	}}
	burst := adapter{name: "burst", build: func([]string, int) (*subject, error) { panic("not enough room") }}
	list := []adapter{hashAlone, hashAndLoad, clusterkitPointer, consistentBytes, jumpList, two, burst, {name: "small", most: 6}}
	var out, told bytes.Buffer
	require.NoError(t, peers([]size{few}, list, &told).Main(t.Context(), []string{"-rounds", "2", "-sample", "10us"}, &out, &told))
	for _, line := range []string{
		"two, 7 members: not timed: three owners: key", "burst, 7 members: not timed: panic: not enough room",
		"small, 7 members: left out, it is measured with at most 6",
	} {
		require.Contains(t, told.String(), line)
	}
	for _, q := range []struct {
		name  string
		cases int
	}{{"primary", 5}, {"three owners", 4}} {
		for _, keys := range []string{"1024 hot keys", "a million keys"} {
			for _, goroutines := range []string{"1 goroutine", "2 goroutines"} {
				group := fmt.Sprintf("\n### %s, %s, 7 members, %s\n\n", q.name, keys, goroutines)
				_, table, found := strings.Cut(out.String(), group)
				require.True(t, found, group)
				table, _, _ = strings.Cut(table, "\n\n")
				require.Equal(t, q.cases+1, strings.Count(table, "\n| "), "%s: %s", group, table)
			}
		}
	}
	for _, want := range []string{
		"### batch of 1000 of a million keys by primary, 7 members",
		"### join, 7 members, 512 partitions", "consistent Remove",
	} {
		require.Contains(t, out.String(), want)
	}
}

// Every way to group a batch gives the same sum as single lookups, also when its
// buffers are used again.
func TestGroupers(t *testing.T) {
	k := randomKeys(batchKeys)
	groupers, err := groupers(gateIDs(), few.partitions)
	require.NoError(t, err)
	require.Len(t, groupers, 6)
	for _, g := range groupers {
		single := clusterkitRing
		switch {
		case g.role == measure.Floor:
			continue
		case strings.HasPrefix(g.name, "consistent"):
			single = consistentBytes
		}
		s, err := single.build(gateIDs(), few.partitions)
		require.NoError(t, err)
		for range 2 {
			require.Equal(t, s.primary(k), g.group(k), g.name)
		}
	}
}

// Undoing a change is not timed, so that each operation begins with the same members.
// The rebuilt ring of clusterkit equals a ring that Build makes.
func TestRebuilds(t *testing.T) {
	cases, err := rebuilds(few)
	require.NoError(t, err)
	require.Len(t, cases, 6)
	for _, c := range cases {
		run, err := c.Make()
		require.NoError(t, err)
		run(3)
		require.Equal(t, c.Role == measure.Plain, c.Untimed != nil && *c.Untimed > 0)
	}
	nodes := ringNodes(memberIDs(8))
	before, err := ring.Build(ringConfig(few.partitions), nodes[:7])
	require.NoError(t, err)
	got, err := rebuild(before, nodes)
	require.NoError(t, err)
	want, err := ring.Build(ringConfig(few.partitions), nodes)
	require.NoError(t, err)
	require.Equal(t, want.Fingerprint(), got.Fingerprint())

	c := newConsistent(memberIDs(7), few.partitions)
	held := c.LoadDistribution()["member-3"]
	c.Remove("member-3")
	require.Zero(t, c.LoadDistribution()["member-3"])
	c.Add(consistentMember("member-3"))
	require.InDelta(t, held, c.LoadDistribution()["member-3"], 0)
}

// The table of balance has every library, and tells a library that spreads keys evenly
// from one that does not.
func TestBalance(t *testing.T) {
	one := adapter{name: "one", build: func(members []string, _ int) (*subject, error) {
		return &subject{primary: func(k keys) int { return k.len() * len(members[3]) }}, nil
	}}
	var out bytes.Buffer
	require.NoError(t, balance([]adapter{hashAlone, clusterkitRing, one, clusterkitCluster}, &out))
	require.Regexp(t, `(?m)^\| clusterkit ring +\| +1\.\d+ \| +1\.0\d+ \|$`, out.String())
	require.Regexp(t, `(?m)^\| one +\| +12\.0 \| +– \|$`, out.String())
	require.NotContains(t, out.String(), "xxhash")

	sums := make(map[int]bool)
	ids := balanceIDs(balanceMembers)
	for a := range ids {
		for b := range a {
			for c := range b {
				sum := len(ids[a]) + len(ids[b]) + len(ids[c])
				require.False(t, sums[sum])
				sums[sum] = true
			}
		}
	}

	wrong := adapter{name: "wrong", build: func([]string, int) (*subject, error) {
		return &subject{primary: func(k keys) int { return 1 }}, nil
	}}
	require.ErrorContains(t, balance([]adapter{wrong}, &out), "wrong: key")
}

// A walk looks up every key in turn, and begins again after the last.
func TestWalk(t *testing.T) {
	all := randomKeys(3*stride + 100)
	require.Equal(t, all, randomKeys(all.len()))
	var seen []string
	w := &walk{keys: all, at: 50, ask: func(k keys) int {
		require.LessOrEqual(t, k.len(), stride)
		for i, key := range k.text {
			require.Equal(t, key, string(k.raw[i]))
		}
		seen = append(seen, k.text...)
		return 0
	}}
	w.run(all.len() - 10)
	w.run(30)
	require.Equal(t, slices.Concat(all.text[50:], all.text[:70]), seen)
}
