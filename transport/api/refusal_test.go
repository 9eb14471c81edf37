package api_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/transport/api"
)

func TestRefusalIsAnError(t *testing.T) {
	require.EqualError(t, &api.Refusal{Title: "Invalid key", Status: 400, Detail: "the key is empty"}, "status 400: invalid key: the key is empty")
	require.EqualError(t, &api.Refusal{Title: "Unauthorized", Status: 401}, "status 401: unauthorized")
}
