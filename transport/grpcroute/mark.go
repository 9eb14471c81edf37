package grpcroute

import (
	"errors"
	"hash/fnv"
	"strconv"

	"google.golang.org/grpc/codes"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport/route"
)

const (
	// markKey is the metadata with the mark that a client adds to each attempt of a call.
	// It is one value: a server pays more for a further value than for a longer one.
	markKey = "clusterkit-route"
	// refusedKey is the trailer of a refusal. It returns the number of the mark, which only
	// the sender knows. So no other answer is taken for a refusal.
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
	number    uint64 // which only the sender knows
	partition int    // negative: the call has no key
	policy    route.Policy
	token     ring.Token // zero: not sent
}

// A mark is a digit for the version, a digit for the policy, the target, the number, the
// token, and the partition, which is empty for a call without a key.
//
// The digits are the characters that have the longest Huffman codes in HPACK (RFC 7541,
// appendix B), in descending order, because a first digit of 64 bits is one of 16. With them
// the code makes no mark shorter, so HPACK sends a mark as it is. It takes longer to encode
// and decode a mark with that code than to do everything else with it.
const (
	markVersion = '|'
	digits      = "\\<`{^}$@[]~#>'+|!\"()?&*,;XZBCDEFGHIJKLMNOPQRSTUVWY:jkqvwxyz34567"
	width       = 11 // digits of 64 bits
	shortWidth  = 4  // digits of a partition
	targetAt    = 2
	numberAt    = targetAt + width
	tokenAt     = numberAt + width
	partitionAt = tokenAt + width
	longest     = partitionAt + shortWidth
)

// valueOf holds the value of each digit, and noDigit for every other character.
var valueOf = func() (v [256]uint8) {
	for c := range v {
		v[c] = noDigit
	}
	for value, c := range []byte(digits) {
		v[c] = uint8(value)
	}
	return v
}()

const noDigit = 64

// target identifies a process of a service of a cluster.
func target(cluster, service, member string, start membership.Start) uint64 {
	h := fnv.New64a()
	for _, s := range []string{cluster, service, member, strconv.FormatUint(start.Number, 16), strconv.FormatUint(start.Nonce, 16)} {
		_, _ = h.Write([]byte(s + " ")) // Write of a hash returns no error
	}
	return h.Sum64()
}

// String returns the text of a mark.
func (m *mark) String() string {
	var room [longest]byte
	b := append(room[:0], markVersion, digits[min(m.policy, noDigit-1)])
	b = appendNumber(b, width, m.target)
	b = appendNumber(b, width, m.number)
	b = appendNumber(b, width, uint64(m.token))
	if m.partition >= 0 {
		b = appendNumber(b, shortWidth, uint64(m.partition))
	}
	return string(b)
}

// appendNumber appends a number in some digits.
func appendNumber(b []byte, width int, n uint64) []byte {
	for shift := 6 * (width - 1); shift >= 0; shift -= 6 {
		b = append(b, digits[n>>shift&63])
	}
	return b
}

// number reads what appendNumber has written.
func number(s string) (n uint64, ok bool) {
	for i := range len(s) {
		value := valueOf[s[i]]
		if value == noDigit || n>>58 != 0 {
			return 0, false
		}
		n = n<<6 | uint64(value)
	}
	return n, true
}

var errMark = errors.New("the mark of the router that sent it cannot be read: members of different releases, or no router sent it")

// parseMark reads a mark from the values of its metadata. The last value counts: a later
// attempt adds its mark to that of the first. Any client can send such values.
func parseMark(values []string) (m mark, err error) {
	text := values[len(values)-1]
	if len(text) != partitionAt && len(text) != longest || text[0] != markVersion {
		return mark{}, errMark
	}
	policy := valueOf[text[1]]
	target, isTarget := number(text[targetAt:numberAt])
	of, isNumber := number(text[numberAt:tokenAt])
	token, isToken := number(text[tokenAt:partitionAt])
	partition, isPartition := number(text[partitionAt:])
	if !isTarget || !isNumber || !isToken || !isPartition || policy > uint8(route.PrimaryFirst) {
		return mark{}, errMark
	}
	m = mark{target: target, number: of, partition: -1, policy: route.Policy(policy), token: ring.Token(token)}
	if len(text) == longest {
		m.partition = int(partition)
	}
	return m, nil
}
