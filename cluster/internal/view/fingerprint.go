package view

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"

	"github.com/clusterkit/clusterkit/ring"
)

// fingerprint identifies a view: its ring, its configuration, and what its members
// announce that placement or routing depend on. With a handoff it covers the starts that data
// goes back to, as tokens do. It covers nothing else that tells one start of a member from
// another, so a cluster whose members are back with their data has its fingerprint back.
func fingerprint(v *View) ring.Fingerprint {
	var d xxhash.Digest
	d.Reset()
	var buf []byte
	text := func(s string) {
		buf = binary.LittleEndian.AppendUint32(buf, uint32(len(s)))
		buf = append(buf, s...)
	}
	buf = binary.LittleEndian.AppendUint64(buf, uint64(v.Ring.Fingerprint()))
	text(v.Configuration)
	for _, m := range v.Members {
		text(m.ID)
		text(m.Region)
		text(m.Zone)
		buf = binary.LittleEndian.AppendUint32(buf, uint32(m.Weight))
		buf = append(buf, byte(m.State))
		if v.Ring.Config().WriteQuorum > 0 {
			buf = binary.LittleEndian.AppendUint64(buf, Origin(m))
		}
	}
	_, _ = d.Write(buf) // a Digest's Write cannot fail
	return ring.Fingerprint(d.Sum64())
}
