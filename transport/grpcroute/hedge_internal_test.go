package grpcroute

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// TestTheAnswerOfAHedge takes the place of what the first attempt has left, for messages of any
// codec.
func TestTheAnswerOfAHedge(t *testing.T) {
	type message struct {
		text string
		more []int
	}
	to := &message{"old", []int{1}}
	other := like(to)
	require.Equal(t, &message{}, other)
	other.(*message).text = "new"
	assign(to, other)
	require.Equal(t, &message{text: "new"}, to)

	bytes := []byte("old")
	raw := like(&bytes)
	*raw.(*[]byte) = []byte("new")
	assign(&bytes, raw)
	require.Equal(t, "new", string(bytes))

	answer := wrapperspb.String("old")
	fresh := like(answer).(*wrapperspb.StringValue)
	require.Empty(t, fresh.GetValue())
	fresh.Value = "new"
	assign(answer, fresh)
	require.True(t, proto.Equal(wrapperspb.String("new"), answer))
}
