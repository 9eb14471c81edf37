package api_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/transport/api"
)

// twoTables is a document with every field.
func twoTables() api.Placements {
	serving := api.PlacementTable{
		Fingerprint: 7, Strategy: "stairs/1", PartitionCount: 3, ReplicationFactor: 2, WriteQuorum: 2, Replicas: 2,
		Nodes:  []api.PlacementNode{{ID: "n1", Region: "eu", Zone: "a", Weight: 1, Start: 1<<63 + 5}, {ID: "n2", Weight: 3}},
		Owners: []uint16{0, 1, 1, 0, 0, 1},
	}
	target := serving
	target.Fingerprint, target.Owners = 8, []uint16{1, 0, 1, 0, 1, 0}
	return api.Placements{
		ClusterName: "orders", Fingerprint: 1<<63 + 1, Configuration: "rf2w2:stairs/1",
		Members: []api.Endpoint{{ID: "n1", State: "active", HTTPAddr: "10.0.0.1:80", Services: map[string]string{"kv": "a:1", "admin": "b:2"}}, {ID: "n2", State: "away"}},
		Serving: serving, Target: &target,
	}
}

// TestPlacementsInTwoForms: both forms hold the same document.
func TestPlacementsInTwoForms(t *testing.T) {
	want := twoTables()
	data, err := want.MarshalBinary()
	require.NoError(t, err)
	var got api.Placements
	require.NoError(t, got.UnmarshalBinary(data))
	require.Equal(t, want, got)

	text, err := json.Marshal(want)
	require.NoError(t, err)
	require.Contains(t, string(text), `"start":"9223372036854775813"`, "a number of 64 bits is a text in JSON")
	got = api.Placements{}
	require.NoError(t, json.Unmarshal(text, &got))
	require.Equal(t, want, got)
}

// TestPlacementsOfALaterRelease: a reader skips fields that it does not know, and refuses
// another version.
func TestPlacementsOfALaterRelease(t *testing.T) {
	want := twoTables()
	data, err := want.MarshalBinary()
	require.NoError(t, err)
	var got api.Placements
	require.NoError(t, got.UnmarshalBinary(append(data, 99, 3, 'n', 'e', 'w')))
	require.Equal(t, want, got)
	data[3] = 2
	require.ErrorContains(t, got.UnmarshalBinary(data), "no table of version 1")
	require.Equal(t, want, got, "nothing has changed")
}

// TestPlacementsThatAreWrong: each truncation and each wrong number is an error.
func TestPlacementsThatAreWrong(t *testing.T) {
	data, err := twoTables().MarshalBinary()
	require.NoError(t, err)
	whole := 0
	for n := range data {
		var got api.Placements
		if got.UnmarshalBinary(data[:n]) == nil {
			whole++
			require.Nil(t, got.Target, "without its last field the document is whole")
		}
	}
	require.Equal(t, 1, whole)
	for name, edit := range map[string]func(*api.PlacementTable){
		"the partition count is 0":       func(x *api.PlacementTable) { x.PartitionCount = 0 },
		"the number of replicas is 17":   func(x *api.PlacementTable) { x.Replicas = 17 },
		"the replication factor is 1":    func(x *api.PlacementTable) { x.ReplicationFactor = 1 },
		"the write quorum is 3":          func(x *api.PlacementTable) { x.WriteQuorum = 3 },
		"the number of nodes is 1":       func(x *api.PlacementTable) { x.Nodes = x.Nodes[:1] },
		"there are 5 owners: must be 6":  func(x *api.PlacementTable) { x.Owners = x.Owners[:5] },
		"owner 0 is node 2 of 2":         func(x *api.PlacementTable) { x.Owners = []uint16{2, 0, 0, 0, 0, 0} },
		"the partition count is 1048577": func(x *api.PlacementTable) { x.PartitionCount = 1<<20 + 1 },
	} {
		wrong := twoTables()
		edit(&wrong.Serving)
		_, err := wrong.MarshalBinary()
		require.ErrorContains(t, err, name)
	}
}

// FuzzPlacements: no input makes the decoder panic, and what it accepts it encodes to a
// form that it accepts again.
func FuzzPlacements(f *testing.F) {
	data, err := twoTables().MarshalBinary()
	require.NoError(f, err)
	f.Add(data)
	f.Add(data[:40])
	f.Add([]byte("CKT\x01\x04\x05\xff\xff\xff\xff\x07"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var read api.Placements
		if read.UnmarshalBinary(data) != nil {
			return
		}
		again, err := read.MarshalBinary()
		require.NoError(t, err)
		var second api.Placements
		require.NoError(t, second.UnmarshalBinary(again))
		third, err := second.MarshalBinary()
		require.NoError(t, err)
		require.Equal(t, again, third)
	})
}
