package api

// MaxKeyBytes is the longest key that can be looked up over HTTP, in bytes. It leaves
// room for a key of nothing but percent escapes in the request line of a server with
// default options.
const MaxKeyBytes = 4096

// Headers that routers read and write. None of them is a secret or a proof: every
// process that can reach a member can send them. The worst result is an answer of
// 421, or a deadline that the caller has chosen for itself.
const (
	// ForwardedHeader marks a request that a router has forwarded. Its value is the
	// cluster, the service and the member that forwarded the request, separated by
	// spaces. The receiver answers the request itself or refuses it.
	ForwardedHeader = "Clusterkit-Forwarded"
	// TokenHeader carries the ring's token of the key's partition: in a forwarded
	// request as the sender sees it, in an answer as the member that answered sees
	// it. Equal tokens mean the same owners.
	TokenHeader = "Clusterkit-Token"
	// TimeoutHeader carries how many milliseconds the caller still waits. Any
	// client may send it.
	TimeoutHeader = "Clusterkit-Timeout-Ms"
)
