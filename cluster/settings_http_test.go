package cluster_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/client"
)

// No error, log or printed value may show these secrets.
const (
	oldToken = "older-0123456789abcdef"
	newToken = "newer-0123456789abcdef"
)

func token(text string) []transport.Credential {
	return []transport.Credential{{Token: func() string { return text }}}
}

func TestOptionsOfHTTP(t *testing.T) {
	const inClear = "must be a loopback address, or HTTP.Server.TLS or HTTP.Guard.TokensInClear set: tokens would be sent in clear"
	at := func(addr string, edits ...edit) edit {
		return func(o *cluster.Options) {
			o.HTTPAddr, o.HTTP.Guard.Tokens = addr, token(oldToken)
			for _, change := range edits {
				change(o)
			}
		}
	}
	// Validate reads no files; the valid cases are only for Validate.
	fine := []edit{
		at("127.0.0.1:8080"), at("127.9.9.9:0"), at("[::1]:8080"), at("localhost:8080"), at(""),
		at(":8080", func(o *cluster.Options) { o.HTTP.Guard.TokensInClear = true }),
		at(":8080", func(o *cluster.Options) { o.HTTP.Server.TLS = client.TLSOptions{CertFile: "c", KeyFile: "k"} }),
		at(":8080", func(o *cluster.Options) { o.HTTP.Guard.Tokens = nil }),
	}
	for i, change := range fine {
		require.NoError(t, options(1, change).Validate(), "case %d", i)
	}
	checkOptions(t, []optionCase{
		{set: at(":8080"), want: `HTTPAddr is ":8080": ` + inClear},
		{set: at("0.0.0.0:8080"), want: `HTTPAddr is "0.0.0.0:8080": ` + inClear},
		{set: at("[::]:8080"), want: `HTTPAddr is "[::]:8080": ` + inClear},
		{set: at("10.0.0.1:8080"), want: `HTTPAddr is "10.0.0.1:8080": ` + inClear},
		{set: at("orders-1:8080"), want: `HTTPAddr is "orders-1:8080": ` + inClear},
		{set: at(":8080", func(o *cluster.Options) { o.HTTP.Guard = transport.GuardOptions{TokenFile: "tokens"} }), want: `HTTPAddr is ":8080": ` + inClear},
		{
			set:  func(o *cluster.Options) { o.HTTPAddr, o.HTTP.Server.TLS.KeyFile = ":1", "key.pem" },
			want: `HTTP.Server.TLS.CertFile is "": must be set when KeyFile is: a key needs its certificate`,
		},
		{
			set:  func(o *cluster.Options) { o.HTTPAddr, o.HTTP.Server.TLS.CertFile = ":1", "cert.pem" },
			want: `HTTP.Server.TLS.KeyFile is "": must be set when CertFile is: a certificate needs its key`,
		},
		{
			set:  func(o *cluster.Options) { o.HTTPAddr, o.HTTP.Server.TLS.ClientCAFile = ":1", "ca.pem" },
			want: `HTTP.Server.TLS.ClientCAFile is "ca.pem": must be empty without CertFile and KeyFile: the server needs a certificate of its own`,
		},
		{
			set:  func(o *cluster.Options) { o.HTTPAddr, o.HTTP.Server.TLS.AllowTLS12 = ":1", true },
			want: `HTTP.Server.TLS.AllowTLS12 is true: must be false without CertFile and KeyFile: the server needs a certificate of its own`,
		},
		{
			set:  func(o *cluster.Options) { o.HTTP.Server.TLS = client.TLSOptions{CertFile: "c", KeyFile: "k"} },
			want: `HTTP.Server.TLS is {c k    false}: must be empty without HTTPAddr and HTTP.Listener: the server that Handler is mounted in has to encrypt`,
		},
		{
			set: func(o *cluster.Options) {
				o.HTTP.Server.MaxConnections, o.HTTP.Server.ReadTimeout, o.HTTP.Guard.TrustedProxies = -1, -1, []string{"10.0.0.1"}
				o.HTTP.Guard.Tokens = append(token(oldToken), token("hunter2")[0])
				o.HTTP.Guard.PerClient.PerSecond = -1
			},
			want: `HTTP.Server.ReadTimeout is -1ns: must be between 1ms and 24h0m0s, or zero for the default
HTTP.Server.MaxConnections is -1: must be between 1 and 1048576, or zero for the default
HTTP.Guard.Tokens[1].Token is "a text of 7 bytes": must be 16 to 512 bytes of letters, digits and - . _ ~ + /, with = at the end alone
HTTP.Guard.PerClient.PerSecond is -1: must be between 0.01 and 1000000, or the whole limit zero for none
HTTP.Guard.TrustedProxies[0] is "10.0.0.1": must be an address with the length of its prefix, 1 or more, such as 10.1.0.0/16 or 10.1.2.3/32`,
		},
	})
}

// TestNewReadsTheFiles: New reads the files, so that a mistake is known before Start.
func TestNewReadsTheFiles(t *testing.T) {
	for want, change := range map[string]edit{
		"cluster: transport: TLS of the server: open /nowhere.pem: no such file or directory": func(o *cluster.Options) {
			o.HTTPAddr, o.HTTP.Server.TLS = ":1", client.TLSOptions{CertFile: "/nowhere.pem", KeyFile: "/nowhere.key"}
		},
		"cluster: transport: tokens: open /nowhere.tokens: no such file or directory": func(o *cluster.Options) {
			o.HTTP.Guard.TokenFile = "/nowhere.tokens"
		},
	} {
		_, err := cluster.New(options(1, change))
		require.EqualError(t, err, want)
	}
}

// TestSecretsAreNotPrinted: neither printed options, nor a printed cluster, nor their
// logs show a secret.
func TestSecretsAreNotPrinted(t *testing.T) {
	var log strings.Builder
	o := options(1, func(o *cluster.Options) {
		o.Gossip.Keys = [][]byte{[]byte("0123456789abcdef")}
		o.HTTP.Guard.Tokens = token(oldToken)
		o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	c, err := cluster.New(o)
	require.NoError(t, err)
	defer stopped(t, c)
	for _, v := range []any{o, &o, c, []any{o}, map[string]any{"options": o}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
			text := fmt.Sprintf(verb, v)
			require.NotContains(t, text, "0123456789", "%s of %T", verb, v)
			require.NotContains(t, text, "30313233", "%s of %T", verb, v)
			require.NotContains(t, text, "48 49 50 51", "%s of %T", verb, v)
			require.NotContains(t, text, "0x30, 0x31", "%s of %T", verb, v)
		}
		o.Logger.Info("printing", "value", v)
	}
	encoded, err := json.Marshal(map[string]any{"keys": o.Gossip.Keys, "guard": o.HTTP.Guard.Tokens})
	require.NoError(t, err)
	require.JSONEq(t, `{"keys":"[redacted]","guard":[{"Name":"","Read":false,"Write":false}]}`, string(encoded))

	for _, header := range []string{"Bearer " + oldToken, "Bearer wrong-" + oldToken, oldToken} {
		r := httptest.NewRequest(http.MethodGet, "/v1/members", nil)
		r.Header.Set("Authorization", header)
		w := httptest.NewRecorder()
		c.Handler().ServeHTTP(w, r)
		require.Equal(t, header == "Bearer "+oldToken, w.Code == http.StatusOK)
		require.NotContains(t, w.Body.String(), "0123456789")
	}
	require.NotContains(t, log.String(), "0123456789")
	require.NotContains(t, log.String(), "48 49 50 51")
	require.Contains(t, log.String(), "[redacted]")
}
