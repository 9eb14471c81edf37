package membership

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var testDigest = digest{fingerprint: 0x0807060504030201, members: 0x1817161514131211, configuration: 0x2827262524232221}

// The test fixes the bytes of the protocol, which other releases read.
func TestMessagesGolden(t *testing.T) {
	words := []byte{1, 2, 3, 4, 5, 6, 7, 8, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28}
	agree := agreementMessage{fingerprint: testDigest.fingerprint, starts: testDigest.members, bitmap: []byte{0xF0, 1}}
	for _, c := range []struct {
		message any
		bytes   []byte
	}{
		{agree, append(append([]byte{0x11}, words[:16]...), 0xF0, 1)},
		{agreementMessage{bitmap: []byte{}}, append([]byte{0x11}, make([]byte, 16)...)},
		{digestMessage{kind: kindDigest, digest: testDigest}, append([]byte{0x12}, words...)},
		{digestMessage{kind: kindAsk, digest: testDigest, from: "n1"}, append(append([]byte{0x13}, words...), "n1"...)},
		{digestMessage{kind: kindAnswer, digest: testDigest, from: "n1"}, append(append([]byte{0x14}, words...), "n1"...)},
		{digestMessage{kind: kindAskStream, digest: testDigest, from: "n1"}, append(append([]byte{0x10}, words...), "n1"...)},
		{directMessage{from: "n1", start: testDigest.fingerprint, to: testDigest.members, payload: []byte("hi")},
			append(append([]byte{0x15}, words[:16]...), "\x02\x00n1hi"...)},
		{reachMessage{kind: kindReach, challenge: testDigest.fingerprint, name: gossipName("n1", 1)},
			append(append([]byte{0x17}, words[:8]...), "\x13n1~0000000000000001"...)},
		{reachMessage{kind: kindReachPacket, challenge: testDigest.fingerprint, name: gossipName("n1", 1), from: "n2"},
			append(append([]byte{0x18}, words[:8]...), "\x13n1~0000000000000001n2"...)},
		{reachMessage{kind: kindReachStream, challenge: testDigest.fingerprint, name: gossipName("n1", 1), from: "n2"},
			append(append([]byte{0x19}, words[:8]...), "\x13n1~0000000000000001n2"...)},
		{reachMessage{kind: kindDeath, challenge: testDigest.fingerprint, name: gossipName("n1", 1)},
			append(append([]byte{0x1C}, words[:8]...), "\x13n1~0000000000000001"...)},
		{reachMessage{kind: kindDeathStopped, challenge: testDigest.fingerprint, name: gossipName("n1", 1)},
			append(append([]byte{0x1D}, words[:8]...), "\x13n1~0000000000000001"...)},
		{reachMessage{kind: kindNoPacket, name: gossipName("n1", 1), from: "n2"},
			append([]byte{0x1A, 0, 0, 0, 0, 0, 0, 0, 0}, "\x13n1~0000000000000001n2"...)},
		{reachMessage{kind: kindNoStream, name: gossipName("n1", 1), from: "n2"},
			append([]byte{0x1B, 0, 0, 0, 0, 0, 0, 0, 0}, "\x13n1~0000000000000001n2"...)},
		{probeMessage{kind: kindProbe, stream: true, challenge: testDigest.fingerprint, name: gossipName("n1", 1), addr: netip.MustParseAddrPort("10.0.0.1:7946")},
			append(append([]byte{0x1E, 1}, words[:8]...), "\x13n1~0000000000000001\x0a\x00\x00\x01\x0a\x1f"...)},
		{probeMessage{kind: kindProbeAnswer, challenge: testDigest.fingerprint, name: gossipName("n1", 1)},
			append(append([]byte{0x1F, 0}, words[:8]...), "\x13n1~0000000000000001"...)},
	} {
		require.Equal(t, c.bytes, encoded(c.message))
		got, err := parseMessage(c.bytes)
		require.NoError(t, err)
		require.Equal(t, c.message, got)
	}
}

func encoded(message any) []byte {
	switch m := message.(type) {
	case agreementMessage:
		return m.append(nil)
	case digestMessage:
		return m.append(nil)
	case directMessage:
		return m.bytes()
	case reachMessage:
		return m.bytes()
	case probeMessage:
		return m.bytes()
	default:
		return nil
	}
}

func TestMessagesThatAreNotOurs(t *testing.T) {
	ask := digestMessage{kind: kindAsk, digest: testDigest, from: "n1"}.append(nil)
	plain := digestMessage{kind: kindDigest, digest: testDigest}.append(nil)
	agree := agreementMessage{fingerprint: 1}.append(nil)
	direct := directMessage{from: "n1", payload: []byte("hi")}.bytes()
	reach := reachMessage{kind: kindReach, name: gossipName("n1", 1)}.bytes()
	for name, b := range map[string][]byte{
		"nothing":                    nil,
		"no version":                 {0x01},
		"another version":            append([]byte{0x21}, agree[1:]...),
		"kind 0":                     append([]byte{0x10}, agree[1:]...),
		"an unknown kind":            append([]byte{0x1F}, agree[1:]...),
		"a kind alone":               {0x11},
		"short agreement":            agree[:agreementHeader-1],
		"short digest":               plain[:digestSize-1],
		"a digest with a tail":       append(bytes.Clone(plain), 'x'),
		"an ask from nobody":         ask[:digestSize],
		"short ask":                  ask[:digestSize-1],
		"short direct":               direct[:directHeader-1],
		"a cut sender":               direct[:directHeader+1],
		"direct from nobody":         directMessage{payload: []byte("hi")}.bytes(),
		"a long sender":              directMessage{from: strings.Repeat("n", maxNameLength+1)}.bytes(),
		"a short question":           reach[:reachHeader-1],
		"a cut asker":                reach[:reachHeader+1],
		"an asker of no start":       reachMessage{kind: kindReach, name: "n1"}.bytes(),
		"a question of two":          append(bytes.Clone(reach), 'x'),
		"an answer without a sender": reachMessage{kind: kindReachPacket, name: gossipName("n1", 1)}.bytes(),
		"a long payload":             directMessage{from: "n1", payload: make([]byte, maxMessage+1)}.bytes(),
	} {
		_, err := parseMessage(b)
		require.ErrorIs(t, err, errMessage, name)
	}
}

func FuzzParseMessage(f *testing.F) {
	f.Add([]byte{})
	f.Add(agreementMessage{fingerprint: 1, starts: 2, bitmap: []byte{7}}.append(nil))
	f.Add(digestMessage{kind: kindDigest, digest: testDigest}.append(nil))
	f.Add(digestMessage{kind: kindAsk, digest: testDigest, from: "n1"}.append(nil))
	f.Add(digestMessage{kind: kindAnswer, digest: testDigest, from: "\xff"}.append(nil))
	f.Add(directMessage{from: "n1", start: 1, to: 2, payload: []byte{7}}.bytes())
	f.Add(reachMessage{kind: kindReach, challenge: 1, name: gossipName("n1", 1)}.bytes())
	f.Add(reachMessage{kind: kindReachStream, challenge: 1, name: gossipName("n1", 1), from: "n2"}.bytes())
	f.Add(probeMessage{kind: kindProbe, name: gossipName("n1", 1), addr: netip.MustParseAddrPort("[::ffff:10.0.0.1]:1")}.bytes())
	f.Add(probeMessage{kind: kindProbeAnswer, stream: true, name: gossipName("n1", 1)}.bytes())
	view := threeMembers()
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		message, err := parseMessage(b)
		if err != nil {
			require.Nil(t, message)
			return
		}
		require.Equal(t, before, encoded(message), "what is read is what was written")

		// No message breaks the agreement that receives it.
		a := newAgreement("a", 1, newClock().now)
		a.publish(view)
		switch m := message.(type) {
		case agreementMessage:
			a.merge(m)
			m.fingerprint, m.starts = a.digest.fingerprint, a.starts
			a.merge(m)
		case digestMessage:
			a.heard(m.from, m.digest)
		}
		s := a.state()
		require.LessOrEqual(t, a.held, len(view.members))
		require.Equal(t, a.held == len(view.members), s.Complete)
		require.Len(t, s.Differing, len(view.members)-a.held)
	})
}
