package guard

import (
	"errors"
	"fmt"
)

// memberlist prefixes a stream with the name of its cluster: this byte, the
// length of the name, the name. A stream without a name has no prefix.
const (
	labelMark    = 244
	maxLabelHead = 2 + 255
)

var errEmptyLabel = errors.New("label header announces an empty label")

// peekLabel reads the label at the beginning of a stream, of which b has the first
// bytes. If missing is above 0, at least that number of further bytes is needed.
// Otherwise label is the label, which is empty when the stream has none.
func peekLabel(b []byte) (label []byte, missing int, err error) {
	switch {
	case len(b) == 0:
		return nil, 1, nil
	case b[0] != labelMark:
		return nil, 0, nil
	case len(b) == 1:
		return nil, 1, nil
	case b[1] == 0:
		return nil, 0, errEmptyLabel
	}
	end := 2 + int(b[1])
	if len(b) < end {
		return nil, end - len(b), nil
	}
	return b[2:end], 0, nil
}

// The refusal frame is the whole answer of a guard to a stream of another cluster:
// three fixed bytes, a version and a reason. memberlist's messages begin with 0 to 13
// or 244, so the first byte identifies the frame.
const (
	refusalMark    = 0xC1 // never used by msgpack either
	refusalVersion = 1
	refusalSize    = 5

	refusedClusterName = 1
)

var refusalHead = [...]byte{refusalMark, 'c', 'k'}

func refusalFrame() []byte {
	return append(refusalHead[:], refusalVersion, refusedClusterName)
}

// parseRefusal reads an answer, of which b has the first bytes. If missing is above 0,
// that number of further bytes is needed. Otherwise the error is the refusal, and nil
// when the answer is no refusal.
func parseRefusal(b []byte) (missing int, refusal *Refusal) {
	for i, c := range refusalHead {
		if i == len(b) {
			return refusalSize - len(b), nil
		}
		if b[i] != c {
			return 0, nil
		}
	}
	switch {
	case len(b) < refusalSize:
		return refusalSize - len(b), nil
	case b[3] == refusalVersion && b[4] == refusedClusterName:
		return 0, &Refusal{Reason: ErrClusterName}
	}
	return 0, &Refusal{Reason: errUnknownReason, Detail: fmt.Sprintf("version %d, reason %d", b[3], b[4])}
}
