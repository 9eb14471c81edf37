package ring

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A table takes the memory that the documentation of Ring names.
func TestTableTakesTwoBytesAnOwner(t *testing.T) {
	nodes := make([]Node, 1000)
	for i := range nodes {
		nodes[i].ID = strings.Repeat("n", i+1)
	}
	config := Config{PartitionCount: 65_536, ReplicationFactor: 3, Strategy: firstThree{}}
	r, err := Build(config, nodes)
	require.NoError(t, err)
	again, err := Rebuild(r, config, nodes[:999])
	require.NoError(t, err)
	for _, r := range []*Ring{r, again} {
		require.Equal(t, 384<<10, binary.Size(r.owners))
		require.Equal(t, len(r.owners), cap(r.owners))
	}
}

type firstThree struct{}

func (firstThree) Name() string { return "first-three" }

func (firstThree) Assign(_ Topology, table Table) error {
	for i := range table.owners {
		table.owners[i] = uint16(i % 3)
	}
	return nil
}

func (firstThree) Derive(_, _ Topology, _ Table) bool { return true }
