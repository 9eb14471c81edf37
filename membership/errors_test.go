package membership

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRefusedError(t *testing.T) {
	for want, err := range map[string]*RefusedError{
		`membership: joining through "10.0.0.1:7946": refused: belongs to another cluster`: {Seed: "10.0.0.1:7946", Reason: ErrClusterName},
		`membership: joining: refused: wrong or missing gossip key: this member has no key and the cluster is encrypted`: {
			Reason: ErrGossipKey, Detail: detailNoKey},
	} {
		require.EqualError(t, err, want)
		require.ErrorIs(t, fmt.Errorf("starting: %w", err), err.Reason)
	}
}

func TestClassifyJoinErrorLeavesOthersAlone(t *testing.T) {
	require.NoError(t, classifyJoinError(nil))
	other := errors.New("dial tcp 127.0.0.1:1: connect: connection refused")
	require.Same(t, other, classifyJoinError(other))

	refusal := &RefusedError{Seed: "10.0.0.1:7946", Reason: ErrClusterName}
	require.Same(t, refusal, classifyJoinError(fmt.Errorf("failed to join: %w", refusal)))
	// memberlist flattens errors to text.
	err := classifyJoinError(errors.New("failed to join: " + refusal.Error()))
	require.ErrorIs(t, err, ErrClusterName)
}
