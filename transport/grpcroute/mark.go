package grpcroute

import (
	"errors"
	"hash/fnv"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
	"github.com/clusterkit/clusterkit/transport/route"
)

const (
	// markKey is the metadata with the mark that a client adds to each attempt of a call.
	// It is one value: a server pays more for a further value than for a longer one.
	markKey = "clusterkit-route"
	// refusedKey is the trailer of a refusal. It returns the number of the attempt, which
	// only its sender knows. So no other answer is taken for a refusal.
	refusedKey = "clusterkit-refused"
	// tokenKey is the trailer with the ring token of a member that has refused.
	tokenKey = "clusterkit-token"
	// pushbackKey is the trailer by which a server allows or forbids gRPC to send a call
	// again by itself.
	pushbackKey = "grpc-retry-pushback-ms"
)

// refusal is the status code of a refusal. gRPC sends a stream again after this code, and
// after no other. So a second pick of a call follows a refusal, or an attempt that the
// transport has not delivered.
const refusal = codes.Unimplemented

// mark describes an attempt to its receiver.
type mark struct {
	target    uint64 // the process that is meant
	number    string // which only the sender of this attempt knows
	partition int    // negative: the call has no key
	policy    route.Policy
	token     ring.Token // zero: not sent
}

// A mark is short, because each call pays for its length: a digit for the version, a digit
// for the policy, the target, the number, the token, and the partition in decimal, which
// is empty for a call without a key.
const (
	markVersion = '1'
	digits      = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"
	width       = 11 // digits of 64 bits
	targetAt    = 2
	numberAt    = targetAt + width
	tokenAt     = numberAt + width
	partitionAt = tokenAt + width
)

// target identifies a process of a service of a cluster.
func target(cluster, service, member string, start membership.Start) uint64 {
	h := fnv.New64a()
	for _, s := range []string{cluster, service, member, strconv.FormatUint(start.Number, 16), strconv.FormatUint(start.Nonce, 16)} {
		_, _ = h.Write([]byte(s + " ")) // it returns no error
	}
	return h.Sum64()
}

// String returns the text of a mark, with a new number.
func (m *mark) String() string {
	var room [64]byte
	b := append(room[:0], markVersion, '0'+byte(m.policy))
	b = appendNumber(b, m.target)
	b = appendNumber(b, wire.NewNumber())
	b = appendNumber(b, uint64(m.token))
	if m.partition >= 0 {
		b = strconv.AppendUint(b, uint64(m.partition), 10)
	}
	text := string(b)
	m.number = text[numberAt:tokenAt]
	return text
}

// appendNumber appends a number in 11 digits.
func appendNumber(b []byte, n uint64) []byte {
	for shift := 6 * (width - 1); shift >= 0; shift -= 6 {
		b = append(b, digits[n>>shift&63])
	}
	return b
}

// number reads what appendNumber has written.
func number(s string) (n uint64, ok bool) {
	for _, c := range []byte(s) {
		d := strings.IndexByte(digits, c)
		if d < 0 {
			return 0, false
		}
		n = n<<6 | uint64(d)
	}
	return n, true
}

var errMark = errors.New("the mark of the router that sent it cannot be read: members of different releases, or no router sent it")

// parseMark reads a mark from the values of its metadata. The last value counts: a later
// attempt adds its mark to that of the first. Any client can send such values.
func parseMark(values []string) (m mark, err error) {
	text := values[len(values)-1]
	if len(text) < partitionAt || text[0] != markVersion {
		return mark{}, errMark
	}
	target, ok := number(text[targetAt:numberAt])
	_, isNumber := number(text[numberAt:tokenAt])
	token, isToken := number(text[tokenAt:partitionAt])
	m = mark{target: target, number: text[numberAt:tokenAt], partition: -1, policy: route.Policy(text[1] - '0'), token: ring.Token(token)}
	if !ok || !isNumber || !isToken || m.policy > route.PrimaryFirst {
		return mark{}, errMark
	}
	if text = text[partitionAt:]; text != "" {
		partition, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return mark{}, errMark
		}
		m.partition = int(partition)
	}
	return m, nil
}
