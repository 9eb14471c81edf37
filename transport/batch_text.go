package transport

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"strconv"

	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
)

// batchText writes the results of one batch as encoding/json writes them, in a third of the time: a batch of a
// stranger is short, and its answer is long. The text of each owner is encoded once.
type batchText struct {
	ids     bool // owners by their IDs alone: an api.PlacementIDs
	owners  map[api.Owner][]byte
	scratch bytes.Buffer
	encoder *json.Encoder
}

func newBatchText(ids bool) *batchText {
	t := &batchText{ids: ids, owners: make(map[api.Owner][]byte)}
	t.encoder = wire.NewEncoder(&t.scratch)
	return t
}

// append appends the text of a result to b.
func (t *batchText) append(b []byte, p *api.Placement) []byte {
	b = t.string(append(b, `{"key":`...), p.Key)
	b = strconv.AppendInt(append(b, `,"partition":`...), int64(p.Partition), 10)
	b = append(hex.AppendEncode(append(b, `,"token":"`...), binary.BigEndian.AppendUint64(nil, uint64(p.Token))), '"')
	b = t.string(append(b, `,"primary":`...), p.Primary)
	b = t.list(append(b, `,"owners":`...), p.Owners)
	if len(p.Target) > 0 {
		b = t.list(append(b, `,"target":`...), p.Target)
	}
	return append(b, '}')
}

func (t *batchText) list(b []byte, owners []api.Owner) []byte {
	b = append(b, '[')
	for i, o := range owners {
		if i > 0 {
			b = append(b, ',')
		}
		text, known := t.owners[o]
		if !known {
			if t.ids {
				text = t.string(nil, o.ID)
			} else {
				text = t.value(nil, o)
			}
			t.owners[o] = text
		}
		b = append(b, text...)
	}
	return append(b, ']')
}

// string appends a string. Most keys need no escapes.
func (t *batchText) string(b []byte, s string) []byte {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' || s[i] == '"' || s[i] == '\\' {
			return t.value(b, s)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

// value appends a string or a struct of strings, which can be encoded.
func (t *batchText) value(b []byte, v any) []byte {
	t.scratch.Reset()
	_ = t.encoder.Encode(v)
	return append(b, bytes.TrimSuffix(t.scratch.Bytes(), []byte("\n"))...)
}
