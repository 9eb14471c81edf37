package transport

import (
	"context"
	"net/http"
	"net/netip"

	"github.com/clusterkit/clusterkit/transport/internal/credential"
)

// callerKey is the key under which the context of a request has the name of a caller
// that may act. Only a guard sets it.
type callerKey struct{}

// withCaller adds to a request who sent it, if the request needs the scope write or asks for
// the status page, and the guard knows that its sender has that scope. The page shows the
// actions to such a sender. The guard must have admitted the request.
func (g *Guard) withCaller(r *http.Request) *http.Request {
	if needed(r) != credential.Write && !isForPage(r) {
		return r
	}
	name := ""
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		name = "certificate " + r.TLS.PeerCertificates[0].Subject.String()
	}
	if g.asks {
		token, ok := g.writer(r)
		switch {
		case !ok:
			return r
		case name == "":
			name = token
		default:
			name = token + ", " + name
		}
	}
	if name == "" {
		return r
	}
	return r.WithContext(context.WithValue(r.Context(), callerKey{}, name))
}

// writer returns the name of a request's token, if the token has the scope write.
func (g *Guard) writer(r *http.Request) (name string, ok bool) {
	token, missing := bearer(r)
	if missing != "" {
		return "", false
	}
	sets := []tokenSet{g.settings.tokens}
	if g.file != nil {
		sets = append(sets, *g.file.Get())
	}
	for _, set := range sets {
		if set.scope(token)&credential.Write != 0 {
			return "token " + set.name(token), true
		}
	}
	return "", false
}

// isForPage reports whether a request asks for the status page.
func isForPage(r *http.Request) bool { return r.URL.Path == "/" && accepts(r, html) > 0 }

// callerOf returns the name of a caller that may act. It is empty if a guard has not
// found out that the caller may.
func callerOf(r *http.Request) string {
	name, _ := r.Context().Value(callerKey{}).(string)
	return name
}

// isPrivate reports whether nobody on a network can read or change a request: its
// connection is encrypted, or comes from this host.
func isPrivate(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && peer.Addr().Unmap().IsLoopback()
}
