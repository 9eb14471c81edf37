package view

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"

	"github.com/clusterkit/clusterkit/ring"
)

// fingerprint identifies a view: its ring, its configuration, and the announced values on
// which placement or routing depend. With a handoff it covers the start with which the data
// of each member began, as tokens do. It covers nothing else that differs between two starts
// of a member. So a cluster whose members restart with their data has the same fingerprint as
// before.
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
	_, _ = d.Write(buf) // Write of a Digest cannot fail
	return ring.Fingerprint(d.Sum64())
}
