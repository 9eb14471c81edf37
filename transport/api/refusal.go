package api

import (
	"fmt"
	"strings"
)

// Types of refusals by which the caller of a service learns whether its request has
// run, and whether to send it again. They are values of Type of a [Refusal], whose
// documentation lists all other types.
const (
	// RefusalNoRing: no member owns any partition yet. The request has not run. Status
	// 503, with Retry-After.
	RefusalNoRing = "urn:clusterkit:problem:no-ring"
	// RefusalNoOwner: no owner of the key could be reached, or none agreed to own
	// it. The request has not run. Status 503, with Retry-After.
	RefusalNoOwner = "urn:clusterkit:problem:no-owner"
	// RefusalBroken: the connection to the owner failed before it answered. The
	// request may have run. Status 502.
	RefusalBroken = "urn:clusterkit:problem:broken"
	// RefusalDeadline: the caller's deadline passed before the owner answered. The
	// request may have run. Status 504.
	RefusalDeadline = "urn:clusterkit:problem:deadline"
)

// Refusal is the document of every refusal: the problem details of RFC 9457, with the
// extension members that some types carry, as application/problem+json. It is an
// error, so that a client can return what it read.
type Refusal struct {
	// Type is a URN for programs to compare; it is not an address. Beside the Refusal
	// constants there are these types, each after "urn:clusterkit:problem:":
	//
	//	invalid-parameter    400  a parameter of the query or path is missing, doubled or malformed
	//	invalid-key          400  a key is empty, too long or not UTF-8
	//	invalid-body         400  a body is not what the route reads
	//	body-too-large       413  a body has more than Bound bytes
	//	too-many-keys        413  a batch has more than Bound keys
	//	too-many-changes     413  a plan's change has more than Bound entries
	//	unknown-partition    404  the number is not below Bound, the number of partitions
	//	invalid-change       422  a plan's change cannot be made to this ring
	//	invalid-token        401  no token, or one that is not valid; with WWW-Authenticate
	//	insufficient-scope   403  the token does not allow this; with WWW-Authenticate
	//	expired-certificate  403  the client's certificate expired while its connection stood
	//	actions-off          403  actions need tokens or client certificates, and none are configured
	//	in-clear             403  an action was sent without TLS from another host
	//	action-failed        409  the member did not do what it was asked; Detail says why
	//	cross-origin         403  a browser sent the request for a page of another origin
	//	too-many-requests    429  the client, or all of them together, ask too often; with Retry-After
	//	too-many-waiting     503  Bound requests wait at this member already; with Retry-After
	//	overloaded           503  answers under way hold Bound bytes already; with Retry-After
	//	plan-too-large       413  partitions times members of a plan are more than Bound
	//	misdirected          421  a router forwarded a request to a member that does not own its key
	//
	// "about:blank" says no more than Status.
	Type string `json:"type"`
	// Title says what the type means. It is the same for every refusal of the type.
	Title string `json:"title"`
	// Status is the HTTP status.
	Status int `json:"status"`
	// Detail says for people what is wrong with this request.
	Detail string `json:"detail,omitempty"`
	// Parameter is the parameter of the query or path, or the field of the body, that
	// is wrong. It is empty if no single one is.
	Parameter string `json:"parameter,omitempty"`
	// Index is the position of the wrong key in a batch, from 0. It is nil if the
	// request is no batch.
	Index *int `json:"index,omitempty"`
	// Bound is the limit that was exceeded, in the unit that the type names. It is zero
	// if no limit was exceeded.
	Bound int64 `json:"bound,omitempty"`
}

// Error returns the status, the title and the detail.
func (r *Refusal) Error() string {
	if r.Detail == "" {
		return fmt.Sprintf("status %d: %s", r.Status, strings.ToLower(r.Title))
	}
	return fmt.Sprintf("status %d: %s: %s", r.Status, strings.ToLower(r.Title), r.Detail)
}
