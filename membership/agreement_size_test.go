package membership

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// memberlist puts a user message into a compound packet with a length of two
// bytes and a type of one.
const compoundOverhead = 2 + 1

// TestAgreementSize checks the promised size that agreement adds to a packet: 24 bytes
// and one bit for each member.
func TestAgreementSize(t *testing.T) {
	if testing.Short() {
		t.Skip("makes a thousand agreements, in one goroutine")
	}
	for n := 2; n <= 1000; n++ {
		members := make([]Member, n)
		for i := range members {
			members[i] = Member{ID: fmt.Sprintf("m%04d", i), State: Active, Start: Start{Number: 1, Nonce: uint64(i) + 1}}
		}
		a := newAgreement(members[n/2].ID, members[n/2].Start.Nonce, time.Now)
		require.True(t, a.publish(view{fingerprint: 1, configuration: "c", members: members}))

		payload := a.payload(1 << 16)
		require.NotNil(t, payload, n)
		require.LessOrEqual(t, len(payload)+compoundOverhead, 24+n/8, n)
		require.Nil(t, a.payload(len(payload)-1), "%d members: it does not fit", n)
		require.NotNil(t, a.payload(len(payload)), "%d members: it fits", n)

		other := newAgreement(members[0].ID, members[0].Start.Nonce, time.Now)
		require.True(t, other.publish(view{fingerprint: 1, configuration: "c", members: members}))
		msg, err := parseMessage(payload)
		require.NoError(t, err, n)
		other.merge(msg.(agreementMessage))
		require.Len(t, other.state().Differing, n-2, "%d members: two have confirmed", n)
	}
}
