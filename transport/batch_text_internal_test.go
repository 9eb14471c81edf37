package transport

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
)

// The text of a result is that of encoding/json, whatever is in the names.
func TestBatchTextIsThatOfJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.StringMatching(`[a-z0-9:-]{1,9}`), rapid.String(), rapid.SampledFrom([]string{"<&>", "\u2028", "\x00\x7f", `"`, `\`, "\xff", "é"}))
		owners := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) api.Owner {
			return api.Owner{ID: text.Draw(t, "id"), Region: text.Draw(t, "region"), Zone: text.Draw(t, "zone"), HTTPAddr: text.Draw(t, "addr")}
		}), 1, 3)
		members, ids := newBatchText(false), newBatchText(true)
		for range 3 {
			p := api.Placement{
				Key: text.Filter(func(s string) bool { return s != "" }).Draw(t, "key"), Partition: rapid.IntRange(0, 1<<20).Draw(t, "partition"),
				Token: ring.Token(rapid.Uint64().Draw(t, "token")), Primary: text.Draw(t, "primary"), Owners: owners.Draw(t, "owners"),
			}
			short := api.PlacementIDs{Key: p.Key, Partition: p.Partition, Token: p.Token, Primary: p.Primary}
			for _, o := range p.Owners {
				short.Owners = append(short.Owners, o.ID)
			}
			if rapid.Bool().Draw(t, "moves") {
				p.Target = owners.Draw(t, "target")
				for _, o := range p.Target {
					short.Target = append(short.Target, o.ID)
				}
			}
			want := newBatchText(false)
			require.NoError(t, want.encoder.Encode(p))
			require.Equal(t, want.scratch.String(), string(members.append(nil, &p))+"\n")
			want.scratch.Reset()
			require.NoError(t, wire.NewEncoder(&want.scratch).Encode(short))
			require.Equal(t, want.scratch.String(), string(ids.append(nil, &p))+"\n")
		}
	})
}
