package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// The labels of a Kubernetes node that say where it runs, by the name of the file for each.
var placeLabels = map[string]string{"zone": "topology.kubernetes.io/zone", "region": "topology.kubernetes.io/region"}

const (
	// kubeAccount is the directory of the service account of a pod.
	kubeAccount  = "/var/run/secrets/kubernetes.io/serviceaccount"
	placeTimeout = 30 * time.Second
)

// kube is how to ask the API of Kubernetes.
type kube struct {
	address string // host:port
	account string // the directory with token and ca.crt
}

// kubeFromPod returns how a process in a pod asks the API.
func kubeFromPod(lookupEnv func(string) (string, bool)) (kube, error) {
	host, found := lookupEnv("KUBERNETES_SERVICE_HOST")
	port, _ := lookupEnv("KUBERNETES_SERVICE_PORT")
	if !found || port == "" {
		return kube{}, errors.New("-write-place: $KUBERNETES_SERVICE_HOST or $KUBERNETES_SERVICE_PORT is not set: run it in a pod, or set -zone and -region on the member instead")
	}
	return kube{net.JoinHostPort(host, port), kubeAccount}, nil
}

// writePlace writes the files zone and region to a directory, with the labels of a Kubernetes node. A
// node without a label for its zone is an error: members would count as one zone.
func (k kube) writePlace(ctx context.Context, node, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, placeTimeout)
	defer cancel()
	labels, err := k.labels(ctx, node)
	if err != nil {
		return fmt.Errorf("-write-place: the labels of node %q: %w", node, err)
	}
	if labels[placeLabels["zone"]] == "" {
		return fmt.Errorf("-write-place: node %q has no label %s: add the label, or set -zone on the members", node, placeLabels["zone"])
	}
	for file, label := range placeLabels {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(labels[label]+"\n"), 0o644); err != nil {
			return fmt.Errorf("-write-place: %w", err)
		}
	}
	return nil
}

// labels returns the labels of a node.
func (k kube) labels(ctx context.Context, node string) (map[string]string, error) {
	token, err := os.ReadFile(filepath.Join(k.account, "token"))
	if err != nil {
		return nil, fmt.Errorf("%w: mount the token of a service account that may get nodes", err)
	}
	authority, err := os.ReadFile(filepath.Join(k.account, "ca.crt"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return nil, fmt.Errorf("file %q holds no certificate", filepath.Join(k.account, "ca.crt"))
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+k.address+"/api/v1/nodes/"+url.PathEscape(node), http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	request.Header.Set("Accept", "application/json")
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the API answers %s: the service account needs the verb get on nodes", response.Status)
	}
	var answer struct {
		Metadata struct {
			Labels map[string]string `json:"labels"`
		} `json:"metadata"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(nil, response.Body, 16<<20)).Decode(&answer); err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	return answer.Metadata.Labels, nil
}
