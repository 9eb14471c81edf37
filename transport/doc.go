// Package transport is the HTTP interface of a member. It answers which members own a
// key, which members there are, what the ring is, which partitions a change would move,
// and whether the member is ready.
//
// [NewHandler] makes a handler to mount on a server of your own. [Listen] runs a server
// with it. The handler sees the cluster only through the interface [Cluster]:
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
// Three packages belong to it. Package api has the documents. Package client requests
// them from members. Package route sends the requests of a service of your own to the
// owners of their keys.
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
//	GET  /v1/table              [api.Placements]: the whole table, or 304; ?wait=30s waits for another one
//	GET  /v1/events             [api.Events], or a stream of server-sent events
//	GET  /v1/partitions/{id}    [api.Placement]
//	GET  /v1/lookup?key=        [api.Placement], with the key
//	POST /v1/lookup             {"keys": [...]} to [api.Batch]
//	POST /v1/plan               [rebalance.Change] to [api.Plan]; ?moves=false leaves the moves out
//	POST /v1/drain              {"member": ...} to [api.ActionResult], as all actions
//	POST /v1/resume             {"member": ...}
//	POST /v1/forget             {"id": ...}: a lost member is gone for good
//	POST /v1/accept-loss        {"member": ..., "partition": ...}
//	POST /v1/keys/install       {"member": ..., "key": ...}; also /v1/keys/use and /v1/keys/remove
//
// The seven last routes are actions. They are off unless a [Guard] before the handler asks
// for tokens, or its server for client certificates. An action needs the scope write, and a
// connection that is encrypted or comes from a loopback address. It may be sent again
// without harm. After 30 s, or when the request ends first, it stops waiting. The log says
// who asked.
//
// A browser, which accepts text/html, gets the status page at /, with its files page.css,
// page.js and map.png. The page offers the actions to callers that may act. All other
// callers get a refusal there.
//
// HEAD works where GET does. Lookups and partitions take the parameters region and
// zone, and then list owners in that zone first, and owners in that region next. A
// route ignores query parameters that it does not know. A parameter that it knows may
// be given once. A key is 1 to [api.MaxKeyBytes] bytes of UTF-8. Answers must not be
// cached, because they may change at any time.
//
// # Agreement
//
// Answers of lookups, partitions and the table contain nothing that is local to the member that
// answers. Members with equal views give answers that are equal byte for byte. So
// comparing two answers compares two views.
//
// # Refusals
//
// Every refusal of a route is an [api.Refusal] (RFC 9457, application/problem+json),
// also for unknown paths and wrong methods. Some requests never reach the handler, such
// as one whose request line is not HTTP or whose header is too large (431): net/http
// answers these in plain text. A member that is not ready still answers lookups,
// because a slightly old answer is better than none. Only before the first ring, when
// no member is known to own partitions, it refuses them with 503 and Retry-After.
//
// # Access
//
// By default every process may send requests. [ServerOptions].TLS encrypts and requires
// client certificates. A [Guard] in [HandlerOptions].Middleware requires tokens, and
// limits the rate of requests. The files of both are read again when they change.
// Middleware of your own can refuse with [Refuse].
//
// # What it does not do
//
// The package moves no data.
package transport
