package view

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/clusterkit/clusterkit/membership"
)

func voter(id string, state membership.State, configurations ...string) membership.Member {
	return membership.Member{ID: id, State: state, Configurations: configurations}
}

func TestChooseConfiguration(t *testing.T) {
	const active, draining, joining = membership.Active, membership.Draining, membership.Joining
	for _, c := range []struct {
		name    string
		members []membership.Member
		want    string
	}{
		{"nobody", nil, ""},
		{"nobody who owns", []membership.Member{voter("a", membership.Observer, "x")}, ""},
		{"the leaving have the last word", []membership.Member{voter("a", membership.Leaving, "x"), voter("b", membership.Observer, "y")}, "x"},
		{"what they share with joiners", []membership.Member{voter("a", membership.Leaving, "x"), voter("b", joining, "x", "y")}, "x"},
		{"but not before joiners that share nothing with them", []membership.Member{voter("a", membership.Leaving, "x"), voter("b", joining, "y")}, "y"},
		{"a member without any", []membership.Member{voter("a", active)}, ""},
		{"one member: its last", []membership.Member{voter("a", active, "x", "y")}, "y"},
		{"the last in common", []membership.Member{voter("a", active, "x", "y"), voter("b", active, "y", "x")}, "y"},
		{"the lowest ID's order counts", []membership.Member{voter("a", active, "y", "x"), voter("b", active, "x", "y")}, "x"},
		{"one lacks the newest", []membership.Member{voter("a", active, "x", "y"), voter("b", active, "x", "y"), voter("c", active, "x")}, "x"},
		{"joiners have no say", []membership.Member{voter("a", active, "x", "y"), voter("b", joining, "x")}, "y"},
		{"the draining have", []membership.Member{voter("a", active, "x", "y"), voter("b", draining, "x")}, "x"},
		{"and the leaving, until they are gone", []membership.Member{voter("a", active, "x", "y"), voter("b", membership.Leaving, "x")}, "x"},
		{"without active ones the draining have", []membership.Member{voter("a", draining, "x"), voter("b", joining, "x", "y")}, "x"},
		{"without either the joiners have", []membership.Member{voter("a", joining, "x", "y"), voter("b", joining, "y", "x")}, "y"},
		{"observers never have", []membership.Member{voter("a", membership.Observer, "x"), voter("b", active, "x", "y")}, "y"},
		{"pairwise but not in common: most can", []membership.Member{voter("a", active, "x", "y"), voter("b", active, "y", "z"), voter("c", active, "z", "x")}, "x"},
		{"most can", []membership.Member{voter("a", active, "x"), voter("b", active, "y"), voter("c", active, "z", "y")}, "y"},
	} {
		require.Equal(t, c.want, chooseConfiguration(c.members), c.name)
	}
}

func TestChooseConfigurationIsAFunctionOfTheSet(t *testing.T) {
	all := []string{"u", "v", "w", "x", "y"}
	rapid.Check(t, func(t *rapid.T) {
		var members []membership.Member
		for i := range rapid.IntRange(0, 8).Draw(t, "members") {
			some := rapid.Permutation(all).Draw(t, "order")[:rapid.IntRange(0, 4).Draw(t, "number")]
			state := membership.State(rapid.IntRange(int(membership.Joining), int(membership.Observer)).Draw(t, "state"))
			members = append(members, voter(fmt.Sprint("n", i), state, some...))
		}
		chosen := chooseConfiguration(members)
		shuffled := slices.Clone(members)
		seed := rapid.Uint64().Draw(t, "seed")
		random := rand.New(rand.NewPCG(seed, 0))
		random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if got := chooseConfiguration(shuffled); got != chosen {
			t.Fatalf("%q in one order of members, %q in another, seed %d", chosen, got, seed)
		}

		var owners []membership.Member
		for _, m := range members {
			if m.State == membership.Active || m.State == membership.Draining || m.State == membership.Leaving {
				owners = append(owners, m)
			}
		}
		common := func(name string) bool {
			return !slices.ContainsFunc(owners, func(m membership.Member) bool { return !slices.Contains(m.Configurations, name) })
		}
		if Formed(members, "") && slices.ContainsFunc(all, common) && !common(chosen) {
			t.Fatalf("chose %q, which not all members that own have, though others are in common: %+v", chosen, owners)
		}
	})
}
