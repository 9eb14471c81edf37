package main

import (
	"bytes"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/ring/option"
)

// Every scheme gives each partition distinct members that are there, before and after a change, and
// its figures on a small cluster are those that the scheme is known for.
func TestSchemes(t *testing.T) {
	const members, partitions = 12, 256
	for _, s := range schemes {
		w := newWorld(1, members+1, partitions)
		all := membersOf([]int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11})
		before := s.place(w, all, nil)
		for _, here := range [][]int{all, append(slices.Clone(all), members), all[1:]} {
			table := s.place(w, here, before)
			require.Len(t, table, partitions*replicas, s.name)
			for p := range partitions {
				row := table[p*replicas:][:replicas]
				require.Len(t, membersOf(row), replicas, "%s: partition %d", s.name, p)
				for _, m := range row {
					require.Contains(t, here, m, s.name)
				}
			}
		}
		f := measureScheme(s, 2, members, partitions)
		require.GreaterOrEqual(t, f.fullest.worst, 1.0, s.name)
		require.GreaterOrEqual(t, f.join.worst, 0.999, s.name)
		require.GreaterOrEqual(t, f.leave.worst, 0.999, s.name)
		switch s.name {
		case "Balanced, exact", "highest random weight, bounded", "straw2 with upmap", "sticky optimum":
			require.LessOrEqual(t, f.fullest.worst, 1.04, "%s is even", s.name)
		case "min-cost flow on ranks, 7 % slack":
			require.LessOrEqual(t, f.fullest.worst, 1.08, s.name)
		case "stable matching, 5 % slack":
			require.LessOrEqual(t, f.fullest.worst, 1.07, s.name)
		}
		switch s.name {
		case "Rendezvous", "highest random weight, straw2", "sticky optimum":
			require.LessOrEqual(t, f.join.worst, 1.001, "%s moves the minimum", s.name)
			require.LessOrEqual(t, f.leave.worst, 1.03, "%s moves the minimum", s.name)
		case "Maglev, once for each owner":
			require.Greater(t, f.join.worst, 1.2, "%s moves more", s.name)
		}
	}
}

func TestCompareSchemes(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, compareSchemes(schemes[:1], 1, 5, 64, &out))
	require.Contains(t, out.String(), "5 members in one zone, 64 partitions, 3 replicas, worst / mean of 1 seeds")
	require.Regexp(t, `Balanced .*1\.\d{3} / 1\.\d{3}`, out.String())
}

func TestCompareSlacks(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, compareSlacks([]int{option.None, 300}, []slackSize{{10, 512}}, 1, &out))
	require.Regexp(t, `exact +\| +1\.[1-9]`, out.String(), "without slack more moves")
	require.Regexp(t, `300 ‰ +\| +1\.00`, out.String())
	require.Regexp(t, `1/√\(2 × mean load\) +\| +57 ‰`, out.String())
}
