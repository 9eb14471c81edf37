package client_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/clusterkit_test/pki"
	"github.com/clusterkit/clusterkit/transport/client"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
)

func TestClientOptions(t *testing.T) {
	good := client.Options{URLs: []string{"https://orders-1:8080/cluster"}, PoolOptions: client.PoolOptions{Token: testkit.Token(testkit.ReadToken)}}
	testkit.NewClient(t, good)
	for _, url := range []string{"http://127.3.2.1:1", "http://[::1]:1", "http://localhost"} {
		good.URLs = []string{url}
		testkit.NewClient(t, good)
	}
	good.URLs, good.PoolOptions.TokensInClear = []string{"http://10.0.0.1:1"}, true
	testkit.NewClient(t, good)

	bad := client.Options{
		URLs: []string{"orders-1:8080", "ftp://orders-1", "https://", "http://10.0.0.1:80", "https://me:hunter2@h", "https://h?x=1"},
		PoolOptions: client.PoolOptions{
			Token: testkit.Token("hunter2 hunter2"), TokenFile: "tokens", MaxIdleConns: -1,
		},
		Timeout: -1, Retries: -2, MinBackoff: -1, MaxBackoff: -1, MaxRetryAfter: -1,
		MaxKeys: -1, MaxBodyBytes: 1, MaxAnswerBytes: 1,
	}
	const form = `must be http://host:port or https://host:port, with a path or without`
	const want = `client: options: URLs[0] is "orders-1:8080": ` + form + `
URLs[1] is "ftp://orders-1": ` + form + `
URLs[2] is "https://": ` + form + `
URLs[3] is "http://10.0.0.1:80": must be an https URL: the token would be sent in clear; set TokensInClear to allow that
URLs[4] is "https://xxxxx@h": must be without a user: send a token instead
URLs[5] is "https://h?x=1": ` + form + `
Timeout is -1ns: must be between 1ms and 24h0m0s, or zero for the default
Retries is -2: must be between 1 and 100, zero for the default, or option.None for none
MinBackoff is -1ns: must be between 1ms and 24h0m0s, or zero for the default
MaxBackoff is -1ns: must be between 1ms and 24h0m0s, or zero for the default
MaxRetryAfter is -1ns: must be between 1ms and 24h0m0s, or zero for the default
MaxKeys is -1: must be between 1 and 100000, or zero for the default
MaxBodyBytes is 1: must be between 1024 and 67108864, or zero for the default
MaxAnswerBytes is 1: must be between 1024 and 1073741824, or zero for the default
PoolOptions.Token is "a text of 15 bytes": must be 16 to 512 bytes of letters, digits and - . _ ~ + /, with = at the end alone
PoolOptions.TokenFile is "tokens": must be empty when Token is set
PoolOptions.MaxIdleConns is -1: must be between 1 and 1048576, or zero for the default`
	_, err := client.New(bad)
	require.EqualError(t, err, want)
	require.NotContains(t, err.Error(), "hunter2")
	_, err = client.New(client.Options{})
	require.EqualError(t, err, "client: options: len(URLs) is 0: must be between 1 and 1000")
	shared := testkit.NewPool(t, client.PoolOptions{Token: testkit.Token(testkit.ReadToken)})
	_, err = client.New(client.Options{URLs: []string{"http://10.0.0.1:1"}, Pool: shared, PoolOptions: client.PoolOptions{MaxIdleConns: 1}})
	require.EqualError(t, err, `client: options: PoolOptions is "set": must be zero when Pool is set
URLs[0] is "http://10.0.0.1:1": must be an https URL: the token would be sent in clear; set TokensInClear to allow that`)
	file := func(path string) client.Options {
		return client.Options{URLs: []string{"https://h"}, PoolOptions: client.PoolOptions{TokenFile: path}}
	}
	_, err = client.New(file("/nowhere"))
	require.EqualError(t, err, "client: token: open /nowhere: no such file or directory")
	path := filepath.Join(t.TempDir(), "token")
	for content, want := range map[string]string{"": "holds no token", "read short": "its token must be", "read": "its token must be"} {
		pki.Replace(t, path, []byte(content))
		_, err = client.New(file(path))
		require.ErrorContains(t, err, want)
	}
}
