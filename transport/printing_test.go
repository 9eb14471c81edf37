package transport_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/clusterkit_test/pki"
	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/client"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
)

// TestATokenIsNotPrinted: no way of printing a value that holds a token shows the
// token.
func TestATokenIsNotPrinted(t *testing.T) {
	secret := testkit.Token(testkit.ReadToken)
	pool := client.PoolOptions{Token: secret}
	file := filepath.Join(t.TempDir(), "tokens")
	pki.Replace(t, file, []byte("read "+testkit.ReadToken+"\n"))
	type hidden struct{ inner client.PoolOptions }
	values := []any{
		pool, &pool, []client.PoolOptions{pool}, map[string]client.PoolOptions{"a": pool}, hidden{pool}, &hidden{pool}, []any{hidden{pool}},
		transport.GuardOptions{Tokens: testkit.Tokens()}, &transport.GuardOptions{Tokens: testkit.Tokens()}, transport.Credential{Token: secret},
		testkit.NewGuard(t, transport.GuardOptions{Tokens: testkit.Tokens()}),
		testkit.NewGuard(t, transport.GuardOptions{TokenFile: file}),
		client.Options{PoolOptions: pool}, testkit.NewPool(t, pool), testkit.NewPool(t, client.PoolOptions{TokenFile: file}),
		testkit.NewClient(t, client.Options{URLs: []string{"https://h"}, PoolOptions: pool}),
	}
	for _, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T %v"} {
			args := []any{v}
			if verb == "%T %v" {
				args = []any{v, v}
			}
			text := fmt.Sprintf(verb, args...)
			require.NotContains(t, text, "0123456789", "%s of %T", verb, v)
			require.NotContains(t, text, fmt.Sprintf("%x", testkit.ReadToken), "%s of %T", verb, v)
		}
		encoded, err := json.Marshal(v)
		if err == nil {
			require.NotContains(t, string(encoded), "0123456789", "%T", v)
		}
		var log bytes.Buffer
		for _, h := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
			slog.New(h).Info("printing", "value", v)
		}
		require.NotContains(t, log.String(), "0123456789", "%T", v)
	}
}
