package wire

import (
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/clusterkit/clusterkit/transport/api"
)

// The types of refusals that package api lists without a constant.
const (
	Blank = "about:blank"

	Parameter        = "urn:clusterkit:problem:invalid-parameter"
	Key              = "urn:clusterkit:problem:invalid-key"
	Body             = "urn:clusterkit:problem:invalid-body"
	BodyTooLarge     = "urn:clusterkit:problem:body-too-large"
	TooManyKeys      = "urn:clusterkit:problem:too-many-keys"
	TooManyChanges   = "urn:clusterkit:problem:too-many-changes"
	UnknownPartition = "urn:clusterkit:problem:unknown-partition"
	Change           = "urn:clusterkit:problem:invalid-change"
	Token            = "urn:clusterkit:problem:invalid-token" //nolint:gosec // a name, no secret
	Certificate      = "urn:clusterkit:problem:expired-certificate"
	Scope            = "urn:clusterkit:problem:insufficient-scope"
	CrossOrigin      = "urn:clusterkit:problem:cross-origin"
	TooManyRequests  = "urn:clusterkit:problem:too-many-requests"
	TooManyWaiting   = "urn:clusterkit:problem:too-many-waiting"
	Overloaded       = "urn:clusterkit:problem:overloaded"
	PlanTooLarge     = "urn:clusterkit:problem:plan-too-large"
	ActionsOff       = "urn:clusterkit:problem:actions-off"
	InClear          = "urn:clusterkit:problem:in-clear"
	ActionFailed     = "urn:clusterkit:problem:action-failed"
	Misdirected      = "urn:clusterkit:problem:misdirected"
)

// New returns a refusal without extension members.
func New(kind string, status int, format string, args ...any) *api.Refusal {
	return &api.Refusal{Type: kind, Title: Title(kind, status), Status: status, Detail: fmt.Sprintf(format, args...)}
}

// Internal returns a refusal that refers to the member's log.
func Internal() *api.Refusal {
	return New(Blank, http.StatusInternalServerError, "the member could not answer; its log says why")
}

// NoRing returns the refusal that there are no owners yet, and sets Retry-After.
func NoRing(w http.ResponseWriter) *api.Refusal {
	w.Header().Set("Retry-After", "1")
	return WithoutRing()
}

// WithoutRing returns the refusal that there are no owners yet.
func WithoutRing() *api.Refusal {
	return New(api.RefusalNoRing, http.StatusServiceUnavailable, "no member is known to own anything yet: try again, or ask another member")
}

// Title returns the title of a type, and the name of the status for an unknown type.
func Title(kind string, status int) string {
	switch kind {
	case api.RefusalNoRing:
		return "No ring yet"
	case Parameter:
		return "Invalid parameter"
	case Key:
		return "Invalid key"
	case Body:
		return "Invalid body"
	case BodyTooLarge:
		return "Body too large"
	case TooManyKeys:
		return "Too many keys"
	case TooManyChanges:
		return "Too many changes"
	case UnknownPartition:
		return "Unknown partition"
	case Change:
		return "Invalid change"
	case Token:
		return "Invalid token"
	case Certificate:
		return "Expired certificate"
	case Scope:
		return "Insufficient scope"
	case CrossOrigin:
		return "Cross-origin request"
	case ActionsOff:
		return "Actions are off"
	case InClear:
		return "Connection in clear"
	case ActionFailed:
		return "Action failed"
	case TooManyRequests:
		return "Too many requests"
	case TooManyWaiting:
		return "Too many waiting"
	case Overloaded:
		return "Overloaded"
	case PlanTooLarge:
		return "Plan too large"
	default:
		return http.StatusText(status)
	}
}

// CheckKey returns the refusal of an invalid key, or nil.
func CheckKey(key string) *api.Refusal {
	switch {
	case key == "":
		return New(Key, http.StatusBadRequest, "the key is empty")
	case len(key) > api.MaxKeyBytes:
		p := New(Key, http.StatusBadRequest, "the key has %d bytes: at most %d", len(key), api.MaxKeyBytes)
		p.Bound = api.MaxKeyBytes
		return p
	case !utf8.ValidString(key):
		// JSON could not repeat such a key, and a batch could not contain it.
		return New(Key, http.StatusBadRequest, "the key is not UTF-8: encode it, for example as base64")
	default:
		return nil
	}
}

// Most is how many bytes of a caller's text an answer repeats.
const Most = 256

// Brief quotes a caller's text, cut to at most Most bytes.
func Brief(s string) string {
	if len(s) > Most {
		return fmt.Sprintf("%+q... (%d bytes)", s[:Most], len(s))
	}
	return fmt.Sprintf("%+q", s)
}

// Cut shortens a message that repeats a caller's text.
func Cut(message string) string {
	if len(message) > Most {
		return strings.ToValidUTF8(message[:Most], "") + "..."
	}
	return message
}
