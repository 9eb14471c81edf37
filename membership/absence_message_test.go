package membership

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The test fixes the bytes of the protocol, which other releases read.
func TestAbsencesGolden(t *testing.T) {
	m := placed(awayOf("a", 1, 0xab))
	meta, err := encodeMeta(m)
	require.NoError(t, err)
	over := absenceRecord{member: Member{ID: "b", Start: Start{Nonce: 1}}}
	left := absenceRecord{member: Member{ID: "c", Start: Start{Nonce: 2}}, left: true}
	got := encodeAbsences([]absenceRecord{{member: m, remaining: 300 * time.Millisecond}, over, left})
	want := []byte{0x16, 0xac, 0x02, 18}
	want = append(want, "a~00000000000000ab\x04\x0a\x00\x00\x07\x0a\x1f"...)
	want = append(append(want, byte(len(meta))), meta...)
	want = append(append(want, 0, 18), "b~0000000000000001"...)
	want = append(append(want, 0x80, 0x00, 18), "c~0000000000000002"...)
	require.Equal(t, want, got)
	require.Equal(t, []byte{0x16}, encodeAbsences(nil))
}

func TestAbsencesThatAreNotOurs(t *testing.T) {
	whole := encodeAbsences([]absenceRecord{{member: placed(awayOf("a", 1, 1)), remaining: time.Minute}})
	for end := range whole {
		if end != 1 {
			_, err := parseAbsences(whole[:end])
			require.ErrorIs(t, err, errMessage, "%d bytes", end)
		}
	}
	over := encodeAbsences([]absenceRecord{{member: startOf("a", 1, 1)}})
	for name, b := range map[string][]byte{
		"another version":     append([]byte{0x26}, whole[1:]...),
		"another kind":        append([]byte{0x12}, whole[1:]...),
		"more than the bound": {0x16, 0x81, 0xdd, 0xdb, 0x01, 18},
		"no number":           append([]byte{0x16}, bytes.Repeat([]byte{0xff}, 10)...),
		"too many":            append([]byte{0x16}, bytes.Repeat(over[1:], maxAbsenceRecords+1)...),
	} {
		_, err := parseAbsences(b)
		require.ErrorIs(t, err, errMessage, name)
	}

	a := newAdmission(1, []string{"x"})
	for name, edit := range map[string]func(*absenceRecord){
		"a member that is not away": func(r *absenceRecord) { r.member = placed(startOf("a", 1, 1)) },
		"other partitions":          func(r *absenceRecord) { r.member.PartitionCount = 2 },
		"other configurations":      func(r *absenceRecord) { r.member.Configurations = []string{"y"} },
		"port 0":                    func(r *absenceRecord) { r.member.Addr = netip.AddrPortFrom(metaAddr.Addr(), 0) },
		"a name of no member":       func(r *absenceRecord) { r.member.ID = "~" },
		"the end for no member":     func(r *absenceRecord) { r.member.ID, r.remaining = "~", 0 },
	} {
		r := absenceRecord{member: placed(awayOf("a", 1, 1)), remaining: time.Second}
		edit(&r)
		all, err := parseAbsences(encodeAbsences([]absenceRecord{r}))
		require.NoError(t, err, name)
		require.Len(t, all, 1, name)
		_, err = a.admitAbsence(all[0])
		require.Error(t, err, name)
	}
}

func FuzzParseAbsences(f *testing.F) {
	m := placed(awayOf("a", 1, 1))
	f.Add(encodeAbsences(nil))
	f.Add(encodeAbsences([]absenceRecord{{member: m, remaining: time.Minute}, {member: startOf("b", 1, 1)}}))
	f.Add([]byte{0x16, 1, 0, 0})
	f.Add(encodeAbsences([]absenceRecord{{member: startOf("c", 1, 1), left: true}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := parseAbsences(b)
		if err != nil {
			require.Nil(t, all)
			return
		}
		c := newClock()
		r := newRegistry(gossipName("me", 0), c.now)
		record(r, startOf("a", 1, 2))
		a := newAdmission(1, []string{"x"})
		var records []absenceRecord
		for _, raw := range all {
			if got, err := a.admitAbsence(raw); err == nil {
				records = append(records, got)
			}
		}
		// The records survive encoding and decoding, except for fields that other releases add.
		again, err := parseAbsences(encodeAbsences(records))
		require.NoError(t, err)
		require.LessOrEqual(t, len(again), len(records))

		r.learn(records, false)
		require.LessOrEqual(t, len(r.absences), 2*maxAbsences)
		c.advance(maxGrace)
		r.endAbsences()
		for id, a := range r.absences {
			require.True(t, a.over, "%s outlives the longest grace", id)
		}
		c.advance(absenceMemory + 1)
		r.endAbsences()
		require.Empty(t, r.absences)
	})
}
