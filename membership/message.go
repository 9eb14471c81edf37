package membership

import (
	"encoding/binary"
	"errors"
)

// The library's own messages. The first byte holds the version in its high and
// the kind in its low half; what follows is of fixed layout, little endian. A
// member skips versions and kinds that it does not know.
const (
	messageVersion = 1 << 4

	kindAgreement = 1 // fingerprint, hash of the starts, bitmap
	kindDigest    = 2 // digest; what acks and push/pulls carry
	kindAsk       = 3 // digest, sender's ID: please answer with yours
	kindAnswer    = 4 // digest, sender's ID
)

const (
	agreementHeader = 1 + 8 + 8
	digestSize      = 1 + 24
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

// digestMessage is a digest with, for asks and answers, whose it is.
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

// parseMessage reads any message of this version. The result shares b.
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
	case kindDigest, kindAsk, kindAnswer:
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
	default:
		return nil, errMessage
	}
}
