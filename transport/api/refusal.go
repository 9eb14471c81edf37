package transport

import (
	"fmt"
	"net/http"
	"strings"
)

// The types of [ProblemDetails], as they stand in its Type. They are names and
// lead nowhere; a client may compare them and they do not change.
const (
	// ProblemBlank says no more than the status does.
	ProblemBlank = "about:blank"
	// ProblemNoRing: nobody owns anything yet. Status 503, with Retry-After.
	ProblemNoRing = "urn:clusterkit:problem:no-ring"
	// ProblemParameter: a parameter of the query or path is missing, doubled
	// or malformed, or the query as a whole is. Status 400.
	ProblemParameter = "urn:clusterkit:problem:invalid-parameter"
	// ProblemKey: a key is empty, too long or not UTF-8. Status 400.
	ProblemKey = "urn:clusterkit:problem:invalid-key"
	// ProblemBody: a body is not what the route reads. Status 400.
	ProblemBody = "urn:clusterkit:problem:invalid-body"
	// ProblemBodyTooLarge: a body has more than Bound bytes. Status 413.
	ProblemBodyTooLarge = "urn:clusterkit:problem:body-too-large"
	// ProblemTooManyKeys: a batch has more than Bound keys. Status 413, as
	// the cure is the same: split it.
	ProblemTooManyKeys = "urn:clusterkit:problem:too-many-keys"
	// ProblemTooManyChanges: a plan's change has more than Bound entries.
	// Status 413.
	ProblemTooManyChanges = "urn:clusterkit:problem:too-many-changes"
	// ProblemUnknownPartition: the number is not below Bound, the number of
	// partitions. Status 404.
	ProblemUnknownPartition = "urn:clusterkit:problem:unknown-partition"
	// ProblemChange: a plan's change cannot be made to this ring. Status 422.
	ProblemChange = "urn:clusterkit:problem:invalid-change"
	// ProblemToken: the request carries no token, or one that is not valid.
	// Status 401, with WWW-Authenticate.
	ProblemToken = "urn:clusterkit:problem:invalid-token"
	// ProblemCertificate: the client's certificate expired while its
	// connection stood. Status 403; the connection is closed.
	ProblemCertificate = "urn:clusterkit:problem:expired-certificate"
	// ProblemScope: the token does not allow this. Status 403, with
	// WWW-Authenticate.
	ProblemScope = "urn:clusterkit:problem:insufficient-scope"
	// ProblemCrossOrigin: a browser sent the request for a page of another
	// origin. Status 403.
	ProblemCrossOrigin = "urn:clusterkit:problem:cross-origin"
	// ProblemTooManyRequests: the client, or all of them together, ask too
	// often. Status 429, with Retry-After.
	ProblemTooManyRequests = "urn:clusterkit:problem:too-many-requests"
)

// problemContentType is the media type of RFC 9457.
const problemContentType = "application/problem+json"

// ProblemDetails is how every refusal is written: the problem details of RFC
// 9457, with the extension members that some types carry. It is an error, so
// that a client can return what it read.
type ProblemDetails struct {
	// Type is one of the Problem constants.
	Type string `json:"type"`
	// Title says what the type means, the same for every problem of it.
	Title string `json:"title"`
	// Status is the HTTP status.
	Status int `json:"status"`
	// Detail says what is wrong with this request, for people.
	Detail string `json:"detail,omitempty"`
	// Parameter is the parameter of the query or path, or the field of the
	// body, that is at fault; empty when it is none in particular.
	Parameter string `json:"parameter,omitempty"`
	// Index is the position of the key at fault in a batch, from 0; nil
	// outside batches.
	Index *int `json:"index,omitempty"`
	// Bound is the limit that was exceeded, in the unit its type names; zero
	// when none was.
	Bound int64 `json:"bound,omitempty"`
}

// Error returns the status, the title and the detail.
func (p *ProblemDetails) Error() string {
	if p.Detail == "" {
		return fmt.Sprintf("transport: status %d: %s", p.Status, strings.ToLower(p.Title))
	}
	return fmt.Sprintf("transport: status %d: %s: %s", p.Status, strings.ToLower(p.Title), p.Detail)
}

// WriteProblem answers a request with a problem. Headers that belong to its
// status, such as Allow and Retry-After, are the caller's to set before. Empty
// fields get a meaning: no Status is 500, no Type is [ProblemBlank], and no Title
// is what the status is called.
func WriteProblem(w http.ResponseWriter, r *http.Request, p *ProblemDetails) {
	full := *p
	full.Status = orDefault(full.Status, http.StatusInternalServerError)
	full.Type = orDefault(full.Type, ProblemBlank)
	full.Title = orDefault(full.Title, titleOf(full.Type, full.Status))
	// Strings and integers always encode.
	_ = writeJSON(w, r, full.Status, problemContentType, &full)
}

// problem returns a problem without extension members.
func problem(kind string, status int, format string, args ...any) *ProblemDetails {
	return &ProblemDetails{Type: kind, Title: titleOf(kind, status), Status: status, Detail: fmt.Sprintf(format, args...)}
}

func titleOf(kind string, status int) string {
	switch kind {
	case ProblemNoRing:
		return "No ring yet"
	case ProblemParameter:
		return "Invalid parameter"
	case ProblemKey:
		return "Invalid key"
	case ProblemBody:
		return "Invalid body"
	case ProblemBodyTooLarge:
		return "Body too large"
	case ProblemTooManyKeys:
		return "Too many keys"
	case ProblemTooManyChanges:
		return "Too many changes"
	case ProblemUnknownPartition:
		return "Unknown partition"
	case ProblemChange:
		return "Invalid change"
	case ProblemToken:
		return "Invalid token"
	case ProblemCertificate:
		return "Expired certificate"
	case ProblemScope:
		return "Insufficient scope"
	case ProblemCrossOrigin:
		return "Cross-origin request"
	case ProblemTooManyRequests:
		return "Too many requests"
	default:
		return http.StatusText(status)
	}
}

// most is how much of what a caller sent an answer repeats, in bytes.
const most = 256

// brief quotes what a caller sent, cut to a length fit for an answer.
func brief(s string) string {
	if len(s) > most {
		return fmt.Sprintf("%+q... (%d bytes)", s[:most], len(s))
	}
	return fmt.Sprintf("%+q", s)
}

// cut shortens a message that repeats what a caller sent.
func cut(message string) string {
	if len(message) > most {
		return strings.ToValidUTF8(message[:most], "") + "..."
	}
	return message
}
