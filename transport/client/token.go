package client

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"github.com/clusterkit/clusterkit/ring/option"
	"github.com/clusterkit/clusterkit/transport/internal/credential"
	"github.com/clusterkit/clusterkit/transport/internal/reload"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
)

func (o PoolOptions) validateToken() error {
	var errs []error
	if o.Token != nil {
		if token := o.Token(); !credential.Valid(token) {
			errs = append(errs, &option.Error{Field: "Token", Value: fmt.Sprintf("a text of %d bytes", len(token)), Bound: credential.Bound})
		}
		if o.TokenFile != "" {
			errs = append(errs, &option.Error{Field: "TokenFile", Value: o.TokenFile, Bound: "empty when Token is set"})
		}
	}
	return errors.Join(errs...)
}

// exposes reports whether a token would be sent in clear to a URL of this scheme and
// host.
func (o PoolOptions) exposes(scheme, host string) bool {
	return scheme == "http" && (o.Token != nil || o.TokenFile != "") && !o.TokensInClear && !isLoopback(host)
}

// isLoopback reports whether a host can be reached only from this machine.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback() || strings.EqualFold(strings.TrimSuffix(host, "."), "localhost")
}

// tokenSource returns a function that returns the present token. It returns nil without
// a token.
func (o PoolOptions) tokenSource() (func() string, error) {
	if o.TokenFile == "" {
		return o.Token, nil
	}
	// It is a function, like PoolOptions.Token, so that the token is not printed.
	file, err := reload.Watch([]string{o.TokenFile}, o.Logger, func(contents [][]byte) (func() string, error) {
		for _, words := range credential.Lines(contents[0]) {
			if _, err := credential.ParseScope(words[0]); err == nil && len(words) > 1 {
				words = words[1:]
			}
			token := words[0]
			if !credential.Valid(token) {
				return nil, fmt.Errorf("file %q: its token must be %s", o.TokenFile, credential.Bound)
			}
			return func() string { return token }, nil
		}
		return nil, fmt.Errorf("file %q holds no token", o.TokenFile)
	})
	if err != nil {
		return nil, fmt.Errorf("client: token: %w", err)
	}
	return func() string { return (*file.Get())() }, nil
}

// authorize returns a copy of the request with the pool's token, or the request itself
// where the token must not be added. With an error it returns the request itself.
func (p *Pool) authorize(r *http.Request) (*http.Request, error) {
	if !p.needsToken(r) {
		return r, nil
	}
	if p.options.exposes(r.URL.Scheme, r.URL.Hostname()) {
		return r, errInClear
	}
	token := p.token()
	if !credential.Valid(token) {
		return r, errToken
	}
	r = r.Clone(r.Context()) // a RoundTripper must not change the request
	if r.Header == nil {
		r.Header = make(http.Header)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	return r, nil
}

// needsToken reports whether the pool adds its token to a request.
func (p *Pool) needsToken(r *http.Request) bool {
	return p.token != nil && r.Header["Authorization"] == nil && r.Header[wire.ForwardedHeader] == nil && !strayed(r)
}

// strayed reports whether an http.Client has followed a redirect to another host, then or before.
func strayed(r *http.Request) bool {
	for by := r.Response; by != nil && by.Request != nil; by = by.Request.Response {
		if from := by.Request.URL; from.Scheme != r.URL.Scheme || from.Host != r.URL.Host {
			return true
		}
	}
	return false
}

var (
	errInClear = errors.New("client: the URL is not https and the token would be sent in clear: use https, or set TokensInClear")
	errToken   = errors.New("client: PoolOptions.Token returned an invalid token: must be " + credential.Bound)
)
