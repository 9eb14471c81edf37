package main

import (
	"bytes"
	"context"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/clusterkit_test/pki"
	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/client"
)

func TestCheckAsksTheMemberOfTheSameSettings(t *testing.T) {
	t.Parallel()
	ready := true
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != "/readyz":
			http.NotFound(w, r)
		case !ready:
			http.Error(w, "it is leaving", http.StatusServiceUnavailable)
		}
	})
	server := httptest.NewServer(handler)
	c := config{options: cluster.Options{HTTPAddr: server.Listener.Addr().String()}}
	require.NoError(t, check(t.Context(), c))
	ready = false
	require.EqualError(t, check(t.Context(), c), "-check: not ready: 503 Service Unavailable: it is leaving\n")
	server.Close()
	require.ErrorContains(t, check(t.Context(), c), "-check: dial tcp ")
	c.options.HTTPAddr = ""
	require.EqualError(t, check(t.Context(), c), `-check: -http is "": must be the address that the member serves`)
}

// The certificate of a member need not name loopback, and the member may require one of its clients.
func TestCheckSpeaksTLS(t *testing.T) {
	t.Parallel()
	authority := pki.New(t, "authority")
	files := client.TLSOptions{CertFile: authority.Path("tls.pem"), KeyFile: authority.Path("tls.key"), ClientCAFile: authority.File}
	authority.Issue("n1", files.CertFile, files.KeyFile, pki.ForIP("10.0.0.1"))
	server, err := transport.Listen("127.0.0.1:0", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), transport.ServerOptions{TLS: files})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Shutdown(context.Background())) })
	c := config{options: cluster.Options{HTTPAddr: server.Addr().String(), HTTP: cluster.HTTPOptions{Server: transport.ServerOptions{TLS: files}}}}
	require.NoError(t, check(t.Context(), c))
	c.options.HTTP.Server.TLS.KeyFile = "none.key"
	require.ErrorContains(t, check(t.Context(), c), `-check: certificate "`+files.CertFile+`" with key "none.key": `)
}

// kubeAPI is an API of Kubernetes that has one node.
func kubeAPI(t *testing.T, labels string) kube {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Authorization") != "Bearer secret":
			w.WriteHeader(http.StatusForbidden)
		case r.URL.Path != "/api/v1/nodes/worker-1":
			w.WriteHeader(http.StatusNotFound)
		default:
			_, _ = w.Write([]byte(`{"kind":"Node","metadata":{"name":"worker-1","labels":` + labels + `}}`))
		}
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	account := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(account, "token"), []byte("secret\n"), 0o600))
	var ca bytes.Buffer
	require.NoError(t, pem.Encode(&ca, &pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	require.NoError(t, os.WriteFile(filepath.Join(account, "ca.crt"), ca.Bytes(), 0o600))
	return kube{address: server.Listener.Addr().String(), account: account}
}

func TestWritePlaceTakesTheLabelsOfTheNode(t *testing.T) {
	t.Parallel()
	api, dir := kubeAPI(t, `{"topology.kubernetes.io/zone":"eu-1a","topology.kubernetes.io/region":"eu-1","other":"x"}`), t.TempDir()
	require.NoError(t, api.writePlace(t.Context(), "worker-1", dir))
	c, err := parseWith([]string{"-id", "n1", "-zone-file", filepath.Join(dir, "zone"), "-region-file", filepath.Join(dir, "region")}, nil)
	require.NoError(t, err)
	require.Equal(t, []string{"eu-1a", "eu-1"}, []string{c.options.Zone, c.options.Region})

	require.EqualError(t, api.writePlace(t.Context(), "worker-2", dir),
		`-write-place: the labels of node "worker-2": the API answers 404 Not Found: the service account needs the verb get on nodes`)
	require.EqualError(t, kubeAPI(t, `{}`).writePlace(t.Context(), "worker-1", dir),
		`-write-place: node "worker-1" has no label topology.kubernetes.io/zone: add the label, or set -zone on the members`)
	require.ErrorContains(t, kubeAPI(t, `5`).writePlace(t.Context(), "worker-1", dir), "reading the answer")
	require.ErrorContains(t, kube{account: dir}.writePlace(t.Context(), "worker-1", dir), "mount the token of a service account")

	_, err = kubeFromPod(func(string) (string, bool) { return "", false })
	require.EqualError(t, err, "-write-place: $KUBERNETES_SERVICE_HOST or $KUBERNETES_SERVICE_PORT is not set: run it in a pod, or set -zone and -region on the member instead")
	pod, err := kubeFromPod(func(name string) (string, bool) {
		return map[string]string{"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}[name], true
	})
	require.NoError(t, err)
	require.Equal(t, kube{address: "[fd00::1]:443", account: kubeAccount}, pod)
}

func TestVersionIsShown(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, showVersion(&out))
	require.Regexp(t, `^node \S+, (revision \w+, )?go1\.\S+ \w+/\w+\n$`, out.String())
	c, err := parseWith([]string{"-version"}, nil)
	require.NoError(t, err, "the version needs no -id")
	require.Equal(t, showsVersion, c.mode)
}

func TestKnownAddrIsThatOfTheOthers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ http, advertiseHTTP, advertise, want string }{
		{"127.0.0.1:8080", "", "", "127.0.0.1:8080"},
		{"0.0.0.0:8080", "", "", ""},
		{"0.0.0.0:8080", "", "10.0.0.1", "10.0.0.1:8080"},
		{":8080", "", "10.0.0.1:7000", "10.0.0.1:8080"},
		{"[::]:8080", "", "fd00::1", "[fd00::1]:8080"},
		{"127.0.0.1:0", "", "10.0.0.1", ""},
		{"0.0.0.0:8080", "orders:80", "10.0.0.1", "orders:80"},
		{"", "", "10.0.0.1", ""},
	} {
		var o cluster.Options
		o.HTTPAddr, o.HTTP.AdvertiseAddr, o.Gossip.AdvertiseAddr = test.http, test.advertiseHTTP, test.advertise
		require.Equal(t, test.want, knownAddr(o), "%+v", test)
	}
}
