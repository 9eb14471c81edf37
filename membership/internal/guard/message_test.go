package guard

import (
	"bytes"
	"compress/lzw"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// pair appends a field of a map in msgpack: its name, and a number of up to 64 bits.
func pair(b []byte, name string, value uint64) []byte {
	b = append(append(b, 0xa0|byte(len(name))), name...)
	return binary.BigEndian.AppendUint64(append(b, 0xcf), value)
}

// textPair appends a field of a map in msgpack whose value is a text.
func textPair(b []byte, name, value string) []byte {
	b = append(append(b, 0xa0|byte(len(name))), name...)
	b = binary.BigEndian.AppendUint16(append(b, 0xda), uint16(len(value)))
	return append(b, value...)
}

// userHead is the head of a message of the delegate that announces n bytes.
func userHead(n uint64) []byte { return pair([]byte{userMessage, 0x81}, "UserMsgLen", n) }

func userBytes(n int) []byte { return append(userHead(uint64(n)), make([]byte, n)...) }

// exchangeHead is the head of an exchange that announces members and bytes.
func exchangeHead(nodes, state uint64) []byte {
	return pair(pair([]byte{pushPullMessage, 0x82}, "Nodes", nodes), "UserStateLen", state)
}

func stateBytes(name string, incarnation uint64) []byte {
	return textPair(pair([]byte{0x82}, "Incarnation", incarnation), "Name", name)
}

func TestMessages(t *testing.T) {
	g := &Guard{opts: Options{MaxMessage: 100, MaxState: 200}}
	many := bytes.Repeat([]byte{0x91}, 10)
	for name, test := range map[string]struct {
		message []byte
		err     error
	}{
		"ping":                       {append([]byte{pingMessage, 0x81}, "\xa4Node\xa1x"...), nil},
		"user message":               {userBytes(100), nil},
		"empty user message":         {userBytes(0), nil},
		"user message over limit":    {userHead(101), errTooLong},
		"user message of 2^63":       {userHead(1 << 63), errTooLong},
		"field twice":                {pair(pair([]byte{userMessage, 0x82}, "UserMsgLen", 1), "UserMsgLen", 2), errNotGossip},
		"negative length":            {append([]byte{userMessage, 0x81}, "\xaaUserMsgLen\xff"...), errNotGossip},
		"array in place of a map":    {[]byte{userMessage, 0x91, 1}, errNotGossip},
		"map of many":                {[]byte{userMessage, 0xde, 0xff, 0xff}, errNotGossip},
		"nested":                     {append(append([]byte{pingMessage, 0x81}, "\xa1x"...), many...), errTooDeep},
		"exchange":                   {append(append(exchangeHead(1, 3), stateBytes("n1", 7)...), 1, 2, 3), nil},
		"exchange without members":   {exchangeHead(0, 0), nil},
		"exchange, member no name":   {append(exchangeHead(1, 0), 0x80), errNotGossip},
		"exchange, a million":        {exchangeHead(maxStates+1, 0), errTooLong},
		"exchange, state over limit": {exchangeHead(0, 201), errTooLong},
		"exchange, incarnation":      {append(exchangeHead(1, 0), stateBytes("n1", 1<<32-1)...), errIncarnation},
		"exchange, two names":        {append(exchangeHead(1, 0), textPair(textPair([]byte{0x82}, "Name", "n1"), "Node", "n2")...), errNotGossip},
		"exchange, name of a packet": {append(exchangeHead(1, 0), textPair([]byte{0x81}, "Node", "n2")...), errNotGossip},
		"compressed":                 {[]byte{compressMessage, 0x80}, errNotGossip},
		"unknown":                    {[]byte{99}, errNotGossip},
	} {
		t.Run(name, func(t *testing.T) {
			r := &reader{buf: append(test.message, "rest"...), most: mostIncarnation(false)}
			cost := 0
			err := g.message(r, func() error { cost += stateCost; return nil })
			require.ErrorIs(t, err, test.err)
			if test.err == nil {
				require.Equal(t, len(test.message), r.at)
			}
			require.LessOrEqual(t, cost, 10*len(test.message), "what is announced is backed by bytes")
		})
	}
}

func aliveBytes(kind byte, incarnation uint64) []byte {
	return textPair(pair([]byte{kind, 0x82}, "Incarnation", incarnation), "Node", "n1~0000000000000001")
}

func TestClearPackets(t *testing.T) {
	g := &Guard{opts: Options{Label: "orders"}, relays: Bucket{Rate: 1, Burst: 9}, strays: Bucket{Rate: 1, Burst: 2}, numbers: newNumbers()}
	good, bad := aliveBytes(aliveMessage, 9), aliveBytes(deadMessage, 1<<32-1)
	label := func(b []byte) []byte { return append(labelHead("orders"), b...) }
	relay := textPair([]byte{indirectPingMessage, 0x81}, "Target", "\x0a\x00\x00\x01")
	source := func(addr string) []byte { return textPair([]byte{pingMessage, 0x81}, "SourceAddr", addr) }
	pings := [][]byte{pingBytes, pingBytes, good, {indirectPingMessage, 0x80}}
	for _, test := range []struct {
		name       string
		sent, kept []byte
		err        error
	}{
		{"alive", good, good, nil},
		{"dead", bad, nil, errIncarnation},
		{"two names", textPair(textPair([]byte{suspectMessage, 0x82}, "Node", "n1"), "Name", "n2"), nil, errNotGossip},
		{"some of several", putCompound([][]byte{good, bad, pingBytes}), putCompound([][]byte{good, pingBytes}), errIncarnation},
		{"one of several", putCompound([][]byte{bad, good}), good, errIncarnation},
		{"none of several", putCompound([][]byte{bad}), nil, errIncarnation},
		{"nested", putCompound([][]byte{putCompound([][]byte{good})}), good, nil},
		{"compressed", []byte{compressMessage, 0x80}, nil, errCompressed},
		{"request to probe", relay, relay, nil},
		{"probe for another address", source("\x0a\x00\x00\x01"), source("\x0a\x00\x00\x01"), nil},
		{"one more request", relay, nil, errStray},
		{"one more probe for another address", source("\x0a\x00\x00\x01"), nil, errStray},
		{"probe", pingBytes, pingBytes, nil},
		{"many probes", putCompound(pings), putCompound([][]byte{pingBytes, good}), errProbeTarget},
		{"probes within messages", putCompound([][]byte{putCompound([][]byte{good, pingBytes}), pingBytes}), putCompound([][]byte{good, pingBytes}), errManyProbes},
		{"probe for a group", source("\xe0\x00\x00\x01"), nil, errProbeTarget},
		{"probe for all hosts", source("\xff\xff\xff\xff"), nil, errProbeTarget},
		{"probe for a group in v6", source("\xff\x02" + strings.Repeat("\x00", 13) + "\x01"), nil, errProbeTarget},
		{"probe for any address", source("\x00\x00\x00\x00"), nil, errProbeTarget},
		{"probe for a name", source("abc"), nil, errProbeTarget},
		{"probe of nothing", []byte{indirectPingMessage, 0x80}, nil, errProbeTarget},
		{"probe that announces 2 GiB", append([]byte{pingMessage, 0x81}, "\xaaSourceAddr\xc6\x7f\xff\xff\xff"...), nil, errNotGossip},
		{"answer that announces 2 GiB", append([]byte{ackMessage, 0x81}, "\xa7Payload\xc6\x7f\xff\xff\xff"...), nil, errNotGossip},
		{"answer without a number", textPair([]byte{ackMessage, 0x81}, "Payload", "digest"), nil, errNotGossip},
		{"nack in a list", []byte{nackMessage, 0x91, 1}, nil, errNotGossip},
		{"stream in a packet", exchangeHead(0, 0), nil, errNotGossip},
	} {
		kept, err := g.clearPacket(label(test.sent), nil)
		require.ErrorIs(t, err, test.err, test.name)
		if test.kept == nil {
			require.Error(t, err, test.name)
			require.Empty(t, kept, test.name)
			continue
		}
		require.Equal(t, label(test.kept), kept, test.name)
	}
	other := append(labelHead("billing"), bad...)
	kept, err := g.clearPacket(other, nil)
	require.NoError(t, err)
	require.Equal(t, other, kept, "memberlist refuses it and logs that")
}

func TestBucket(t *testing.T) {
	now := time.Unix(1000, 0)
	b := Bucket{Rate: 2, Burst: 3}
	for range 3 {
		require.True(t, b.Take(1, now))
	}
	require.False(t, b.Take(1, now))
	require.False(t, b.Take(1, now.Add(-time.Hour)), "a clock that goes back fills nothing")
	require.True(t, b.Take(1, now.Add(500*time.Millisecond)))
	require.False(t, b.Take(1, now.Add(500*time.Millisecond)))
	require.True(t, b.Take(3, now.Add(time.Hour)))
	require.False(t, b.Take(1, now.Add(time.Hour)))
}

// The messages of one packet share the bytes that may be decompressed.
func TestCompressedMessagesOfAPacketShareABound(t *testing.T) {
	var packed bytes.Buffer
	w := lzw.NewWriter(&packed, lzw.LSB, lzwLitWidth)
	_, err := w.Write(append([]byte{userMessage}, make([]byte, 4000)...))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	one := append([]byte{compressMessage, 0x82}, "\xa4Algo\x00\xa3Buf\xda"...)
	one = append(binary.BigEndian.AppendUint16(one, uint16(packed.Len())), packed.Bytes()...)
	all := make([][]byte, (maxPacket-64)/(len(one)+2))
	for i := range all {
		all[i] = one
	}
	require.Greater(t, len(all), 5)
	g := &Guard{opts: Options{Label: "orders", Compression: true}}
	kept, err := g.clearPacket(append(labelHead("orders"), putCompound(all)...), nil)
	require.ErrorIs(t, err, errTooLong)
	require.LessOrEqual(t, len(kept), maxPacket+maxInflated)
	require.Greater(t, len(kept), 4000, "the first one is kept")
}
