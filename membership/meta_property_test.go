package membership

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func drawMember(t *rapid.T) Member {
	printable := rapid.RuneFrom(nil, unicode.Letter, unicode.Digit, unicode.Punct)
	text, name := rapid.StringOfN(printable, 0, 6, 12), rapid.StringOfN(printable, 1, 6, 12)
	addr := rapid.SampledFrom([]string{"a:1", "10.0.0.1:80", "[2001:db8::1]:443"})
	m := Member{
		ID:             rapid.StringMatching(`[A-Za-z0-9._:/@-]{1,20}`).Draw(t, "id"),
		Region:         text.Draw(t, "region"),
		Zone:           text.Draw(t, "zone"),
		Weight:         rapid.IntRange(1, maxWeight).Draw(t, "weight"),
		Addr:           metaAddr,
		HTTPAddr:       rapid.OneOf(rapid.Just(""), addr).Draw(t, "http"),
		Services:       rapid.MapOfN(name, addr, 0, 4).Draw(t, "services"),
		Metadata:       rapid.MapOfN(name, rapid.StringN(0, 6, 12), 0, 4).Draw(t, "metadata"),
		PartitionCount: rapid.IntRange(1, maxPartitionCount).Draw(t, "partitions"),
		Version:        rapid.StringOfN(printable, 0, 6, 12).Draw(t, "version"),
		Configurations: rapid.SliceOfN(name, 0, 4).Draw(t, "configurations"),
		State:          State(rapid.IntRange(int(Joining), int(Away)).Draw(t, "state")),
		Start:          Start{rapid.Uint64Range(0, 1<<40).Draw(t, "number"), rapid.Uint64().Draw(t, "nonce")},
	}
	if rapid.Bool().Draw(t, "renewed") {
		m.Renewal = rapid.Uint64().Draw(t, "renewal")
		m.Bare = m.State == Leaving && rapid.Bool().Draw(t, "bare")
	}
	if m.State == Away {
		m.Grace = time.Duration(rapid.IntRange(1, int(maxGrace/time.Millisecond)).Draw(t, "grace")) * time.Millisecond
	}
	if rapid.Bool().Draw(t, "waits") {
		m.ZoneGrace = time.Duration(rapid.IntRange(1, int(maxGrace/time.Millisecond)).Draw(t, "zone grace")) * time.Millisecond
	}
	if rapid.Bool().Draw(t, "hasStarted") {
		m.Started = memberTime(rapid.Int64Range(0, maxStarted).Draw(t, "started"))
	}
	return m
}

func TestMetaRoundTripsAnyMember(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawMember(t)
		b, err := encodeMeta(m)
		require.NoError(t, err)
		got, err := decodeMeta(memberName(m), m.Addr, b)
		require.NoError(t, err)
		requireSameMember(t, m, got)
	})
}

// requireSameMember treats nil and empty as equal, as the encoding does.
func requireSameMember(t require.TestingT, want, got Member) {
	require.True(t, maps.Equal(want.Services, got.Services), "services %v and %v", want.Services, got.Services)
	require.True(t, maps.Equal(want.Metadata, got.Metadata), "metadata %v and %v", want.Metadata, got.Metadata)
	require.True(t, slices.Equal(want.Configurations, got.Configurations))
	want.Services, want.Metadata, want.Configurations = nil, nil, nil
	got.Services, got.Metadata, got.Configurations = nil, nil, nil
	require.Equal(t, want, got)
}

func FuzzDecodeMeta(f *testing.F) {
	for _, m := range []Member{fullMember(), smallMember()} {
		b, err := encodeMeta(m)
		require.NoError(f, err)
		f.Add(b)
		f.Add(append(b, 99, 2, 1, 2))
	}
	f.Add([]byte{2, 1, 1, 'x'})
	f.Add([]byte{1, 5, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, b []byte) {
		const name = "a~0000000000000001"
		m, err := decodeMeta(name, metaAddr, b)
		if err != nil {
			require.Zero(t, m)
			return
		}
		again, err := encodeMeta(m)
		if size, ok := errors.AsType[*MetadataSizeError](err); ok {
			require.Greater(t, size.Size, maxUserMeta) // unknown fields or a foreign writer
			return
		}
		require.NoError(t, err)
		got, err := decodeMeta(name, metaAddr, again)
		require.NoError(t, err)
		require.Equal(t, m, got)
	})
}

func BenchmarkEncodeMeta(b *testing.B) {
	m := fullMember()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := encodeMeta(m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeMeta(b *testing.B) {
	m := fullMember()
	meta, err := encodeMeta(m)
	require.NoError(b, err)
	name := memberName(m)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decodeMeta(name, m.Addr, meta); err != nil {
			b.Fatal(err)
		}
	}
}
