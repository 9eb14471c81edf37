package transport_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/transport"
)

// TestASecretIsNotPrinted by whatever prints values, wherever it is.
func TestASecretIsNotPrinted(t *testing.T) {
	secret := transport.NewSecret(readToken)
	type hidden struct{ inner transport.Secret }
	values := []any{
		secret, &secret, []transport.Secret{secret}, map[string]transport.Secret{"a": secret}, hidden{secret}, &hidden{secret}, []any{hidden{secret}},
		transport.GuardOptions{Tokens: tokens()}, &transport.GuardOptions{Tokens: tokens()}, transport.Token{Secret: secret},
		newGuard(t, transport.GuardOptions{Tokens: tokens()}),
		transport.ClientOptions{Token: secret}, newClient(t, transport.ClientOptions{URLs: []string{"https://h"}, Token: secret}),
	}
	for _, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T %v"} {
			args := []any{v}
			if verb == "%T %v" {
				args = []any{v, v}
			}
			text := fmt.Sprintf(verb, args...)
			require.NotContains(t, text, "0123456789", "%s of %T", verb, v)
			require.NotContains(t, text, fmt.Sprintf("%x", readToken), "%s of %T", verb, v)
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
	require.Equal(t, "[redacted]", fmt.Sprintf("%s", secret))
	require.Equal(t, readToken, secret.Reveal())
	require.Empty(t, fmt.Sprint(transport.Secret{}))
	require.Empty(t, transport.NewSecret("").Reveal())
}
