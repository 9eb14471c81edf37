package transport_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/transport"
)

func TestClientOptions(t *testing.T) {
	good := transport.ClientOptions{URLs: []string{"https://orders-1:8080/cluster"}, Token: transport.NewSecret(readToken)}
	require.NoError(t, good.Validate())
	for _, url := range []string{"http://127.3.2.1:1", "http://[::1]:1", "http://localhost"} {
		good.URLs = []string{url}
		require.NoError(t, good.Validate(), url)
	}
	good.URLs, good.TokensInClear = []string{"http://10.0.0.1:1"}, true
	require.NoError(t, good.Validate())

	bad := transport.ClientOptions{
		URLs:  []string{"orders-1:8080", "ftp://orders-1", "https://", "http://10.0.0.1:80", "https://me:hunter2@h", "https://h?x=1"},
		Token: transport.NewSecret("hunter2 hunter2"), TokenFile: "tokens", Pool: newPool(t, transport.PoolOptions{}),
		PoolOptions: transport.PoolOptions{MaxIdleConns: -1}, Timeout: -1, Retries: -2, MinBackoff: -1, MaxBackoff: -1, MaxRetryAfter: -1,
		MaxKeys: -1, MaxBodyBytes: 1, MaxAnswerBytes: 1,
	}
	const form = `must be http://host:port or https://host:port, with a path or without`
	const want = `transport: ClientOptions.URLs[0] is "orders-1:8080": ` + form + `
transport: ClientOptions.URLs[1] is "ftp://orders-1": ` + form + `
transport: ClientOptions.URLs[2] is "https://": ` + form + `
transport: ClientOptions.URLs[3] is "http://10.0.0.1:80": must be an https URL: the token would be sent in clear; set TokensInClear to allow that
transport: ClientOptions.URLs[4] is "https://me:xxxxx@h": must be without a user: send a token instead
transport: ClientOptions.URLs[5] is "https://h?x=1": ` + form + `
transport: ClientOptions.Token is "a text of 15 bytes": must be 16 to 512 bytes of letters, digits and - . _ ~ + /, with = at the end alone
transport: ClientOptions.TokenFile is "tokens": must be empty when Token is set
transport: ClientOptions.PoolOptions is "set": must be zero when Pool is set
transport: ClientOptions.Timeout is -1ns: must be between 1ms and 24h0m0s, or zero for the default
transport: ClientOptions.Retries is -2: must be between -1 and 100, or zero for the default
transport: ClientOptions.MinBackoff is -1ns: must be between 1ms and 24h0m0s, or zero for the default
transport: ClientOptions.MaxBackoff is -1ns: must be between 1ms and 24h0m0s, or zero for the default
transport: ClientOptions.MaxRetryAfter is -1ns: must be between 1ms and 24h0m0s, or zero for the default
transport: ClientOptions.MaxKeys is -1: must be between 1 and 100000, or zero for the default
transport: ClientOptions.MaxBodyBytes is 1: must be between 1024 and 67108864, or zero for the default
transport: ClientOptions.MaxAnswerBytes is 1: must be between 1024 and 1073741824, or zero for the default
transport: PoolOptions.MaxIdleConns is -1: must be between 1 and 1048576, or zero for the default`
	_, err := transport.NewClient(bad)
	require.EqualError(t, err, want)
	require.NotContains(t, err.Error(), "hunter2")
	_, err = transport.NewClient(transport.ClientOptions{})
	require.EqualError(t, err, "transport: ClientOptions.len(URLs) is 0: must be between 1 and 1000")
	_, err = transport.NewClient(transport.ClientOptions{URLs: []string{"https://h"}, TokenFile: "/nowhere"})
	require.EqualError(t, err, "transport: token of the client: open /nowhere: no such file or directory")
	file := filepath.Join(t.TempDir(), "token")
	for content, want := range map[string]string{"": "holds no token", "read short": "its token must be", "read": "its token must be"} {
		replace(t, file, []byte(content))
		_, err = transport.NewClient(transport.ClientOptions{URLs: []string{"https://h"}, TokenFile: file})
		require.ErrorContains(t, err, want)
	}
}
