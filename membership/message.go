package membership

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// The messages of this library. The first byte holds the version in its high half and the kind in
// its low half. The kind decides what follows. Numbers of fixed size are little endian. A member
// skips versions and kinds that it does not know.
const (
	messageVersion = 1 << 4

	kindAskStream = 0 // as kindAsk, of a member that packets do not reach; the answer comes over a stream
	kindAgreement = 1 // fingerprint, hash of the starts, bitmap
	kindDigest    = 2 // digest; acks of probes carry it
	kindAsk       = 3 // digest, sender's ID; the receiver answers with its own digest
	kindAnswer    = 4 // digest, sender's ID
	kindDirect    = 5 // nonces of both starts, sender's ID, payload; for one member only
	kindAbsences  = 6 // records of absences; exchanges of all members carry them

	// A member asks another member whether that member reaches it. The asked member answers in a
	// packet and over a stream. Each message holds a challenge and the asker's gossip name. An
	// answer also holds the ID of its sender.
	kindReach       = 7
	kindReachPacket = 8
	kindReachStream = 9

	// A member tells another one that something from it does not arrive. The challenge is 0.
	kindNoPacket = 10
	kindNoStream = 11

	// A member asks others whether they declared it dead. The answer is that of kindReachStream, or
	// there is none. A sender of kindDeathStopped knows that its process stood still.
	kindDeath        = 12
	kindDeathStopped = 13
	// A member asks a start whether it runs, and the start answers: see probe.go.
	kindProbe       = 14
	kindProbeAnswer = 15
)

const (
	agreementHeader = 1 + 8 + 8
	digestSize      = 1 + 24
	directHeader    = 1 + 8 + 8 + 2
	reachHeader     = 1 + 8 + 1
)

var errMessage = errors.New("membership: malformed message")

// agreementMessage says which members have held a fingerprint.
type agreementMessage struct {
	fingerprint, starts uint64
	bitmap              []byte
}

func (a agreementMessage) append(b []byte) []byte {
	b = append(b, messageVersion|kindAgreement)
	b = binary.LittleEndian.AppendUint64(b, a.fingerprint)
	b = binary.LittleEndian.AppendUint64(b, a.starts)
	return append(b, a.bitmap...)
}

// digestMessage holds a digest. An ask or an answer also names its sender.
type digestMessage struct {
	kind   byte
	digest digest
	from   string
}

func (m digestMessage) append(b []byte) []byte {
	b = append(b, messageVersion|m.kind)
	for _, v := range []uint64{m.digest.fingerprint, m.digest.members, m.digest.configuration} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return append(b, m.from...)
}

// directMessage is a message to one start of one member. It is sent over a stream.
type directMessage struct {
	from      string // the sender's NodeID
	start, to uint64 // the nonces of the sender's start and of the receiver's
	payload   []byte
}

func (m directMessage) bytes() []byte {
	b := make([]byte, 0, directHeader+len(m.from)+len(m.payload))
	b = append(b, messageVersion|kindDirect)
	b = binary.LittleEndian.AppendUint64(b, m.start)
	b = binary.LittleEndian.AppendUint64(b, m.to)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(m.from)))
	b = append(b, m.from...)
	return append(b, m.payload...)
}

// parseDirect copies the payload, because the payload is used for longer than the buffer b.
func parseDirect(b []byte) (any, error) {
	if len(b) < directHeader {
		return nil, errMessage
	}
	from := int(binary.LittleEndian.Uint16(b[17:]))
	if len(b)-directHeader < from || len(b)-directHeader-from > maxMessage ||
		!validIdentifier(string(b[directHeader:directHeader+from])) {
		return nil, errMessage
	}
	return directMessage{
		start:   binary.LittleEndian.Uint64(b[1:]),
		to:      binary.LittleEndian.Uint64(b[9:]),
		from:    string(b[directHeader : directHeader+from]),
		payload: bytes.Clone(b[directHeader+from:]),
	}, nil
}

// reachMessage asks whether a member reaches the asker, or answers that question.
type reachMessage struct {
	kind      byte
	challenge uint64
	name      string // the asker's gossip name
	from      string // the NodeID of the answering member; empty in a question
}

func (m reachMessage) bytes() []byte {
	b := append(make([]byte, 0, reachHeader+len(m.name)+len(m.from)), messageVersion|m.kind)
	b = binary.LittleEndian.AppendUint64(b, m.challenge)
	b = append(b, byte(len(m.name)))
	b = append(b, m.name...)
	return append(b, m.from...)
}

func parseReach(b []byte) (any, error) {
	if len(b) < reachHeader || len(b)-reachHeader < int(b[9]) {
		return nil, errMessage
	}
	name, from := b[reachHeader:reachHeader+int(b[9])], b[reachHeader+int(b[9]):]
	if _, _, err := splitName(string(name)); err != nil {
		return nil, errMessage
	}
	m := reachMessage{kind: b[0] & 0x0F, challenge: binary.LittleEndian.Uint64(b[1:]), name: string(name), from: string(from)}
	question := m.kind == kindReach || m.kind == kindDeath || m.kind == kindDeathStopped
	if question != (m.from == "") || m.from != "" && !validIdentifier(m.from) {
		return nil, errMessage
	}
	return m, nil
}

// parseMessage reads any message of this version. The result may share memory with b.
func parseMessage(b []byte) (any, error) {
	if len(b) == 0 || b[0]&0xF0 != messageVersion {
		return nil, errMessage
	}
	switch kind := b[0] & 0x0F; kind {
	case kindAgreement:
		if len(b) < agreementHeader {
			return nil, errMessage
		}
		return agreementMessage{
			fingerprint: binary.LittleEndian.Uint64(b[1:]),
			starts:      binary.LittleEndian.Uint64(b[9:]),
			bitmap:      b[agreementHeader:],
		}, nil
	case kindDigest, kindAsk, kindAnswer, kindAskStream:
		if len(b) < digestSize {
			return nil, errMessage
		}
		m := digestMessage{kind: kind, from: string(b[digestSize:]), digest: digest{
			fingerprint:   binary.LittleEndian.Uint64(b[1:]),
			members:       binary.LittleEndian.Uint64(b[9:]),
			configuration: binary.LittleEndian.Uint64(b[17:]),
		}}
		if (kind == kindDigest) != (m.from == "") {
			return nil, errMessage
		}
		return m, nil
	case kindDirect:
		return parseDirect(b)
	case kindReach, kindReachPacket, kindReachStream, kindNoPacket, kindNoStream, kindDeath, kindDeathStopped:
		return parseReach(b)
	case kindProbe, kindProbeAnswer:
		return parseProbe(b)
	default:
		return nil, errMessage
	}
}
