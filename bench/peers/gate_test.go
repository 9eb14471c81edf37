package main

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// few is a size that builds in no time.
var few = size{members: 7, partitions: 512}

// afterlife is how long the goroutines of memberlist may outlive it: probes that
// were under way.
const afterlife = 40 * time.Second

// Every adapter but the running cluster answers as it says, at a small size and
// at the first that is measured. Which ones know three owners is pinned, so that
// none is lost unseen.
func TestAdaptersPassTheGate(t *testing.T) {
	cold := randomKeys(4 * hotKeys)
	list := slices.DeleteFunc(adapters(), func(a adapter) bool { return a.name == clusterkitCluster.name })
	require.Len(t, list, len(adapters())-1)
	three := []string{
		"xxhash", "xxhash, one load",
		"clusterkit ring", "clusterkit ring, bytes", "clusterkit atomic pointer",
		"consistent, bytes", "consistent, bytes, 271", "olric routing table", "dskit ring", "ringpop hashring",
		"stathat consistent", "serialx hashring", "ckit ring", "ckit rendezvous", "ckit multiprobe",
	}
	for _, s := range []size{few, sizes[0]} {
		var told strings.Builder
		sc := newScenario(s, list, cold.part(0, hotKeys), cold, &told)
		defer sc.end()
		require.Empty(t, told.String())
		var names []string
		for _, a := range sc.entrants {
			require.NotNil(t, a.primary, a.name)
			if a.three != nil {
				names = append(names, a.name)
			}
		}
		require.Len(t, sc.entrants, len(list))
		require.Equal(t, three, names)
	}
}

// All forms of clusterkit give the same answers, as a ring and as a cluster of
// the size that is measured, here in virtual time. A larger one is left out.
func TestClusterkitAdaptersAgree(t *testing.T) {
	for _, s := range []size{few, sizes[0]} {
		synctest.Test(t, func(t *testing.T) {
			k := randomKeys(hotKeys)
			sc := newScenario(s, []adapter{clusterkitRing, clusterkitBytes, clusterkitCluster, clusterkitPointer}, k, k, t.Output())
			defer time.Sleep(afterlife)
			defer sc.end()
			sameAnswers(t, sc, k)
		})
	}
	_, err := clusterkitCluster.construct(memberIDs(mostMembers+1), 64)
	require.ErrorIs(t, err, errUnfit)
}

// sameAnswers sees to it that four entrants agree about keys.
func sameAnswers(t *testing.T, sc *scenario, k keys) {
	t.Helper()
	require.Len(t, sc.entrants, 4)
	for i := range k.len() {
		one := k.part(i, i+1)
		want, err := sc.entrants[0].three.owners(one)
		require.NoError(t, err)
		for _, a := range sc.entrants {
			owners, err := a.three.owners(one)
			require.NoError(t, err)
			require.Equal(t, want, owners, a.name)
			primary, err := a.primary.owners(one)
			require.NoError(t, err)
			require.Equal(t, want[:1], primary, a.name)
		}
	}
}

// answering is a work whose loop does what its owners say.
func answering(owners func(key string) ([]string, error)) *work {
	return &work{
		owners: func(k keys) ([]string, error) { return owners(k.text[0]) },
		loop: func(k keys) (sum int, _ error) {
			for _, key := range k.text {
				ids, err := owners(key)
				if err != nil {
					return 0, err
				}
				for _, id := range ids {
					sum += len(id)
				}
			}
			return sum, nil
		},
	}
}

func TestGateRefuses(t *testing.T) {
	members, k := memberIDs(20), randomKeys(8)
	right := members[8:11] // of two lengths
	fixed := func(ids ...string) *work {
		return answering(func(string) ([]string, error) { return ids, nil })
	}
	require.NoError(t, fixed(right...).check(members, k, 3))

	moody := 0
	hasty := fixed(right...)
	hasty.loop = fixed(right[0], right[0], right[0]).loop
	for name, c := range map[string]struct {
		w    *work
		want string
	}{
		"one owner short":    {fixed(right[:2]...), "want 3"},
		"one owner too many": {fixed(members[:4]...), "want 3"},
		"an owner twice":     {fixed(right[0], right[1], right[0]), "want distinct ones"},
		"a stranger":         {fixed(right[0], right[1], "member-20"), `"member-20" is no member`},
		"nobody":             {fixed(right[0], right[1], ""), `"" is no member`},
		"an error":           {answering(func(string) ([]string, error) { return nil, errors.New("no luck") }), "no luck"},
		"a panic":            {answering(func(string) ([]string, error) { panic("no room") }), "panic: no room"},
		"another mind": {answering(func(string) ([]string, error) {
			moody++
			return members[moody%10 : moody%10+3], nil
		}), "when asked again"},
		"a loop that does less": {hasty, "the timed loop comes to"},
	} {
		t.Run(name, func(t *testing.T) {
			require.ErrorContains(t, c.w.check(members, k, 3), c.want)
		})
	}
}

// Who gives two owners for three is timed for one only, who panics while it is
// built not at all, and both are told.
func TestStageLeavesOutWhatFails(t *testing.T) {
	k := randomKeys(gateKeys)
	two := adapter{name: "two", build: func(members []string, _ int) (*subject, error) {
		return &subject{
			primary: answering(func(string) ([]string, error) { return members[:1], nil }),
			three:   answering(func(string) ([]string, error) { return members[:2], nil }),
		}, nil
	}}
	burst := adapter{name: "burst", build: func([]string, int) (*subject, error) { panic("not enough room") }}
	var told strings.Builder
	sc := newScenario(few, []adapter{hashAlone, two, burst, clusterkitPointer}, k, k, &told)
	defer sc.end()
	require.Contains(t, told.String(), "two, 7 members, three owners: not timed: key")
	require.Contains(t, told.String(), "burst, 7 members: not timed: panic: not enough room")
	for _, c := range sc.cases(new(failures)) {
		require.NotEqual(t, "burst", c.Name)
		if c.Name == "two" {
			require.True(t, strings.HasPrefix(c.Group, "primary,"), c.Group)
		}
	}
}

// A walk asks about every key in turn and wraps around.
func TestWalk(t *testing.T) {
	all := randomKeys(3*stride + 100)
	var seen []string
	w := &walk{keys: all, at: 50, loop: func(k keys) (int, error) {
		require.LessOrEqual(t, k.len(), stride)
		for i, key := range k.text {
			require.Equal(t, key, string(k.raw[i]))
		}
		seen = append(seen, k.text...)
		return 0, nil
	}}
	w.run(all.len() - 10)
	w.run(30)
	require.Equal(t, slices.Concat(all.text[50:], all.text[:70]), seen)
}

// Errors that come up while the clock runs are not lost.
func TestFailures(t *testing.T) {
	var f failures
	require.NoError(t, f.err())
	k := randomKeys(2)
	w := &walk{keys: k, loop: func(keys) (int, error) { return 0, errors.New("gone") }, failed: f.of("group", "case")}
	w.run(4)
	require.EqualError(t, f.err(), "group: case: gone")
}

func TestRandomKeys(t *testing.T) {
	k := randomKeys(1000)
	require.Equal(t, k, randomKeys(1000))
	seen := make(map[string]bool)
	for _, key := range k.text {
		require.Len(t, key, keyLength)
		seen[key] = true
	}
	require.Len(t, seen, 1000)
}
