// Package transport answers over HTTP what a member knows: which members own a key,
// which members there are, how the ring looks, what a change would move, and how the
// member itself is.
//
// [NewHandler] gives a handler to mount on a server of your own; [Listen] runs
// one. Both see the cluster through [Cluster] alone:
//
//	h, err := transport.NewHandler(cluster, transport.HandlerOptions{})
//	if err != nil {
//		return err
//	}
//	srv, err := transport.Listen(":8080", h, transport.ServerOptions{})
//	if err != nil {
//		return err
//	}
//	defer srv.Shutdown(ctx)
//
// Three packages stand beside it. Package api has the documents, package client asks
// for them, and package route sends the requests of a service of your own to the owners
// of their keys.
//
// # Routes
//
//	GET  /livez                 200 as long as the process runs; text
//	GET  /readyz                200 or 503; text, with the reasons under ?verbose
//	GET  /metrics               figures for Prometheus: see docs/metrics.md
//	GET  /v1/openapi.json       this list as an OpenAPI 3.1 document
//	GET  /v1/health             [api.Health]; 200 when ready, 503 when not, the same document
//	GET  /v1/members            [api.Members]
//	GET  /v1/ring               [api.Ring]: a summary, not the table
//	GET  /v1/partitions/{id}    [api.Placement]
//	GET  /v1/lookup?key=        [api.Placement], with the key
//	POST /v1/lookup             {"keys": [...]} to [api.Batch]
//	POST /v1/plan               [rebalance.Change] to [api.Plan]; ?moves=false leaves the moves out
//
// HEAD works wherever GET does. Lookups and partitions take region and zone,
// and then list owners in that zone first, those in that region next. Query
// parameters that a route does not know are ignored; one that it knows may be
// given once. A key is 1 to [api.MaxKeyBytes] bytes of UTF-8. Nothing may be cached:
// an answer is true when it is given.
//
// # Agreement
//
// The answers of lookups and partitions hold nothing that is local to the member
// that gives them. Members whose views agree answer them byte for byte alike,
// so that comparing two answers compares two views.
//
// # Refusals
//
// Whatever a route refuses comes as [api.Refusal] (RFC 9457,
// application/problem+json), unknown paths and wrong methods included. What never
// reaches the handler, such as a request line that is not HTTP or a header that
// is too large (431), net/http answers in plain text. A member that is not
// ready still answers lookups, because a slightly old answer is worth more than
// none. Only before the first ring, when no member is known to own anything, it
// refuses them with 503 and Retry-After.
//
// # Access
//
// Every process, unless told otherwise. [ServerOptions].TLS encrypts and asks for
// client certificates; a [Guard] among [HandlerOptions].Middleware asks for tokens
// and limits how often a client may ask. Files of both are read again when they change.
// Middleware of your own refuses with [Refuse].
//
// # What it does not do
//
// The package moves no data.
package transport
