package membership

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var metaAddr = netip.MustParseAddrPort("10.0.0.7:7946")

func fullMember() Member {
	return Member{
		ID: "orders-1", Region: "eu", Zone: "eu-1a", Weight: 3, Addr: metaAddr, HTTPAddr: "10.0.0.7:8080",
		Services: map[string]string{"kv": "10.0.0.7:9000", "admin": "10.0.0.7:9001"},
		Metadata: map[string]string{"rack": "r7", "empty": ""}, PartitionCount: 4096,
		Configurations: []string{"rf=3 balanced/1", "rf=3 rendezvous/1"}, State: Active,
		Started: time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC), Start: Start{Number: 1740830400000, Nonce: 0xabc},
	}
}

func smallMember() Member {
	return Member{ID: "a", Addr: metaAddr, Weight: 1, PartitionCount: 1, State: Joining}
}

func memberName(m Member) string { return gossipName(m.ID, m.Start.Nonce) }

func TestMetaRoundTrip(t *testing.T) {
	away := fullMember()
	away.State, away.Grace = Away, 90*time.Second
	renewed := fullMember()
	renewed.Renewal = 1<<64 - 1
	waits := fullMember()
	waits.ZoneGrace = time.Hour
	for _, m := range []Member{fullMember(), smallMember(), away, renewed, waits} {
		b, err := encodeMeta(m)
		require.NoError(t, err)
		got, err := decodeMeta(memberName(m), m.Addr, b)
		require.NoError(t, err)
		require.Equal(t, m, got)
	}
}

// These bytes are the protocol. They may change only together with metaVersion.
func TestMetaGolden(t *testing.T) {
	b, err := encodeMeta(smallMember())
	require.NoError(t, err)
	require.Equal(t, []byte{1, tagPartitionCount, 1, 1, tagState, 1, byte(Joining)}, b, "defaults take no bytes")

	m := smallMember()
	m.Region, m.Weight, m.PartitionCount = "eu", 300, 4096
	m.Services = map[string]string{"b": "2", "a": "1"}
	m.Configurations = []string{"y", "x"}
	m.Started, m.Start.Number = time.Unix(1, 999).UTC(), 128
	b, err = encodeMeta(m)
	require.NoError(t, err)
	require.Equal(t, []byte{
		1,
		1, 2, 'e', 'u',
		3, 2, 0xac, 0x02,
		5, 8, 1, 'a', 1, '1', 1, 'b', 1, '2',
		7, 2, 0x80, 0x20,
		8, 4, 1, 'y', 1, 'x',
		64, 1, 1,
		65, 1, 1,
		66, 2, 0x80, 0x01,
	}, b)
}

func TestMetaIsDeterministic(t *testing.T) {
	want, err := encodeMeta(fullMember())
	require.NoError(t, err)
	for range 50 {
		got, err := encodeMeta(fullMember())
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

func TestEncodeMetaRefuses(t *testing.T) {
	for want, spoil := range map[string]func(*Member){
		"weight 0 is not in [1, 1048576]":                                           func(m *Member) { m.Weight = 0 },
		"weight 1048577 is not in [1, 1048576]":                                     func(m *Member) { m.Weight = 1<<20 + 1 },
		"partition count 0 is not in [1, 1048576]":                                  func(m *Member) { m.PartitionCount = 0 },
		"partition count 1048577 is not in [1, 1048576]":                            func(m *Member) { m.PartitionCount = 1<<20 + 1 },
		"unknown state 0":                                                           func(m *Member) { m.State = 0 },
		"unknown state 7":                                                           func(m *Member) { m.State = Away + 1 },
		"grace -1ns is not in [0, 1h0m0s]":                                          func(m *Member) { m.State, m.Grace = Away, -1 },
		"grace 1h0m0.001s is not in [0, 1h0m0s]":                                    func(m *Member) { m.State, m.Grace = Away, time.Hour+time.Millisecond },
		"grace 0s in state away: a member has one in state away, and in no other":   func(m *Member) { m.State = Away },
		"bare in state active: a member is so in state leaving, and in no other":    func(m *Member) { m.Bare = true },
		"zone grace -1ns is not in [0, 1h0m0s]":                                     func(m *Member) { m.ZoneGrace = -1 },
		"grace 1s in state active: a member has one in state away, and in no other": func(m *Member) { m.Grace = time.Second },
		"start time of -1 seconds is not in [0, 253402300799]":                      func(m *Member) { m.Started = time.Unix(-1, 0) },
		"start time of 253402300800 seconds is not in [0, 253402300799]":            func(m *Member) { m.Started = time.Unix(maxStarted+1, 0) },
		`region "\xff" is not UTF-8`:                                                func(m *Member) { m.Region = "\xff" },
		`zone "\xff" is not UTF-8`:                                                  func(m *Member) { m.Zone = "\xff" },
		`HTTP address "\xff" is not UTF-8`:                                          func(m *Member) { m.HTTPAddr = "\xff" },
		"services has an entry without a name":                                      func(m *Member) { m.Services = map[string]string{"": "x"} },
		`name in services "\xff" is not UTF-8`:                                      func(m *Member) { m.Services = map[string]string{"\xff": "x"} },
		`value of "k" in metadata "\xff" is not UTF-8`:                              func(m *Member) { m.Metadata = map[string]string{"k": "\xff"} },
		"a configuration has no name":                                               func(m *Member) { m.Configurations = []string{""} },
		`configuration "\xff" is not UTF-8`:                                         func(m *Member) { m.Configurations = []string{"\xff"} },
	} {
		m := fullMember()
		spoil(&m)
		_, err := encodeMeta(m)
		require.EqualError(t, err, "membership: encoding metadata: "+want)
	}
}

func TestDecodeMetaRefuses(t *testing.T) {
	valid, err := encodeMeta(smallMember())
	require.NoError(t, err)
	with := func(more ...byte) []byte { return append(slices.Clone(valid), more...) }
	for _, tc := range []struct {
		name, want string
		b          []byte
	}{
		{"none", "there is none: is this a clusterkit member?", nil},
		{"too long", "513 bytes are over the limit of 512", make([]byte, 513)},
		{"newer", "format version 2 is newer than this release reads (1): upgrade this member", []byte{2}},
		{"version 0", "format version 0 is not known", []byte{0}},
		{"no fields", "partition count 0 is not in [1, 1048576]", []byte{1}},
		{"no state", "unknown state 0", []byte{1, 7, 1, 1}},
		{"tag 0", "field 0 does not exist", with(0, 0)},
		{"no length", "field 1: truncated", with(1)},
		{"length past the end", "field 1: truncated", with(1, 2, 'x')},
		{"huge length", "field 1: truncated", with(1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01)},
		{"overflowing length", "field 1: truncated", with(1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f)},
		{"twice", "field 1 occurs twice", with(1, 1, 'x', 1, 1, 'y')},
		{"unknown twice", "field 200 occurs twice", with(200, 0, 200, 0)},
		{"not UTF-8", `region "\xff" is not UTF-8`, with(1, 1, 0xff)},
		{"weight 0", "weight 0 is not in [1, 1048576]", with(3, 1, 0)},
		{"weight too large", "field 3: 1048577 is over the limit of 1048576", with(3, 3, 0x81, 0x80, 0x40)},
		{"weight without value", "field 3: not a number of its size", with(3, 0)},
		{"weight with more", "field 3: not a number of its size", with(3, 2, 1, 1)},
		{"partitions 0", "partition count 0 is not in [1, 1048576]", []byte{1, 7, 1, 0, 64, 1, 1}},
		{"partitions too many", "field 7: 1048577 is over the limit of 1048576", []byte{1, 7, 3, 0x81, 0x80, 0x40, 64, 1, 1}},
		{"state 0", "unknown state 0", []byte{1, 7, 1, 1, 64, 1, 0}},
		{"state unknown", "unknown state 7", []byte{1, 7, 1, 1, 64, 1, 7}},
		{"away without grace", "grace 0s in state away: a member has one in state away, and in no other", []byte{1, 7, 1, 1, 64, 1, 6}},
		{"bare without leaving", "bare in state joining: a member is so in state leaving, and in no other", []byte{1, 7, 1, 1, 64, 1, 1, 70, 0}},
		{"bare with a value", "field 70: not a number of its size", []byte{1, 7, 1, 1, 64, 1, 4, 70, 1, 1}},
		{"grace without away", "grace 1ms in state joining: a member has one in state away, and in no other", []byte{1, 7, 1, 1, 64, 1, 1, 68, 1, 1}},
		{"grace too long", "field 68: 3600001 is over the limit of 3600000", []byte{1, 7, 1, 1, 64, 1, 6, 68, 4, 0x81, 0xdd, 0xdb, 0x01}},

		{"state long", "field 64: not a number of its size", []byte{1, 7, 1, 1, 64, 2, 1, 1}},
		{"started late", "field 65: 253402300800 is over the limit of 253402300799", with(append([]byte{65, 6}, binary.AppendUvarint(nil, maxStarted+1)...)...)},
		{"name without value", "field 5: truncated", with(5, 2, 1, 'a')},
		{"value truncated", "field 6: truncated", with(6, 3, 1, 'a', 1)},
		{"name twice", `field 5: name "a" is not in order`, with(5, 6, 1, 'a', 0, 1, 'a', 0)},
		{"out of order", `field 6: name "a" is not in order`, with(6, 6, 1, 'b', 0, 1, 'a', 0)},
		{"no name", "metadata has an entry without a name", with(6, 2, 0, 0)},
		{"configuration truncated", "field 8: truncated", with(8, 1, 1)},
		{"configuration empty", "a configuration has no name", with(8, 1, 0)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := decodeMeta("a~0000000000000001", metaAddr, tc.b)
			require.EqualError(t, err, `membership: decoding metadata of "a~0000000000000001": `+tc.want)
		})
	}
	_, err = decodeMeta("not a name", metaAddr, valid)
	require.ErrorContains(t, err, "gossip name")
}

func TestDecodeMetaSkipsUnknownFields(t *testing.T) {
	want := fullMember()
	b, err := encodeMeta(want)
	require.NoError(t, err)
	b = append(b, 63, 3, 'n', 'e', 'w', 255, 0)
	got, err := decodeMeta(memberName(want), want.Addr, b)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestDecodeMetaTruncatedAnywhere(t *testing.T) {
	m := fullMember()
	b, err := encodeMeta(m)
	require.NoError(t, err)
	for n := range b {
		got, err := decodeMeta(memberName(m), m.Addr, b[:n])
		if err == nil { // cut between two fields that are not required
			require.NotEqual(t, m, got)
		}
	}
}

// fullOverhead is the size of a partition count and of the head of one long entry of
// the metadata.
const fullOverhead = 3 + 3 + 4

func TestMetaSize(t *testing.T) {
	m := smallMember()
	m.Metadata = map[string]string{"k": strings.Repeat("x", maxUserMeta-fullOverhead)}
	require.Equal(t, maxUserMeta, userSize(m))
	require.NoError(t, checkMetaSize(m))

	m.Zone = "z"
	err := checkMetaSize(m)
	require.Equal(t, &MetadataSizeError{Size: maxUserMeta + 3, Limit: 448, Largest: "Metadata"}, err)
	require.EqualError(t, err, "membership: what this member gossips about itself takes 451 bytes, the limit is 448: "+
		"shorten Metadata, which takes most (Region, Zone, HTTPAddr, Services, Metadata, Configurations and Version count)")
	_, err = encodeMeta(m)
	var size *MetadataSizeError
	require.ErrorAs(t, err, &size)

	m.Metadata, m.Services = nil, map[string]string{"a": strings.Repeat("y", 1<<20)}
	require.ErrorAs(t, checkMetaSize(m), &size)
	require.Equal(t, "Services", size.Largest)
	require.Greater(t, size.Size, 1<<20)
}

func userSize(m Member) int {
	n := 0
	for _, f := range userFields(m) {
		n += len(f.append(nil))
	}
	return n
}

// The largest values of the library always fit.
func TestMetaReserveHoldsTheLibrarysPart(t *testing.T) {
	user := smallMember()
	user.Metadata = map[string]string{"k": strings.Repeat("x", maxUserMeta-fullOverhead)}
	require.Equal(t, maxUserMeta, userSize(user))

	largest := 0
	check := func(t require.TestingT, m Member) {
		b, err := encodeMeta(m)
		require.NoError(t, err)
		require.LessOrEqual(t, len(b), maxMetaSize)
		require.LessOrEqual(t, len(b)-userSize(m), reservedMeta)
		largest = max(largest, len(b)-userSize(m))
	}
	extreme := user
	extreme.State, extreme.Started, extreme.Start = Observer, time.Unix(maxStarted, 0), Start{1<<64 - 1, 1<<64 - 1}
	check(t, extreme)
	require.Equal(t, 24, largest, "the version and three fields; the rest is for fields to come")
	rapid.Check(t, func(t *rapid.T) {
		m := user
		m.State = State(rapid.IntRange(int(Joining), int(Observer)).Draw(t, "state"))
		m.Started = time.Unix(rapid.Int64Range(0, maxStarted).Draw(t, "started"), 0)
		m.Start = Start{rapid.Uint64().Draw(t, "number"), rapid.Uint64().Draw(t, "nonce")}
		check(t, m)
	})
	require.Equal(t, 24, largest)
}

// TestTheVersionGivesWay: a member announces its version where that fits, and everything else
// in any case.
func TestTheVersionGivesWay(t *testing.T) {
	self := smallMember()
	self.Version = "v1.4.2"
	a, err := newAnnouncer(self)
	require.NoError(t, err)
	require.Equal(t, "v1.4.2", a.get().Version)
	set := func(size int) string {
		t.Helper()
		require.NoError(t, a.change(t.Context(), func(m *Member) { m.Metadata = map[string]string{"k": strings.Repeat("x", size)} }))
		got, err := decodeMeta(memberName(self), self.Addr, a.meta())
		require.NoError(t, err)
		require.Len(t, got.Metadata["k"], size)
		return got.Version
	}
	const room = maxUserMeta - fullOverhead
	require.Equal(t, "v1.4.2", set(room-8))
	require.Empty(t, set(room-7), "one byte too many")
	require.Empty(t, set(room))
	require.Equal(t, "v1.4.2", set(1), "there is room again")

	self.Metadata = map[string]string{"k": strings.Repeat("x", room)}
	a, err = newAnnouncer(self)
	require.NoError(t, err)
	require.Empty(t, a.get().Version)
}

// TestVersionsOfOthersAreText: a version that no member announces is ignored, and the member
// is not, as releases before this field do.
func TestVersionsOfOthersAreText(t *testing.T) {
	for version, want := range map[string]string{
		"v1.0.0": "v1.0.0", strings.Repeat("v", 64): strings.Repeat("v", 64),
		strings.Repeat("v", 65): "", "v1\n2": "", "\xff": "",
	} {
		b, err := encodeMeta(smallMember())
		require.NoError(t, err)
		b = metaField{tagVersion, "Version", []byte(version)}.append(b)
		m, err := decodeMeta(memberName(smallMember()), smallMember().Addr, b)
		require.NoError(t, err)
		require.Equal(t, want, m.Version, "%q", version)
	}
	m := smallMember()
	m.Version = "v1\n2"
	_, err := encodeMeta(m)
	require.EqualError(t, err, `membership: encoding metadata: version "v1\n2" is not printable`)
}
