package api

// MaxKeyBytes is the longest key that can be looked up over HTTP, in bytes. It leaves
// room for a key of nothing but percent escapes in the request line of a server with
// default options.
const MaxKeyBytes = 4096

// Headers that routers read and write. Neither is a secret or a proof: every process
// that can reach a member can send them. The worst result is a deadline that the caller
// has chosen for itself. A router takes both out of a request before its handler runs.
const (
	// TokenHeader carries the ring's token of the key's partition: in a forwarded
	// request as the sender sees it, in an answer as the member that answered sees
	// it. Equal tokens mean the same owners.
	TokenHeader = "Clusterkit-Token"
	// TimeoutHeader carries how many milliseconds the caller still waits. Any
	// client may send it.
	TimeoutHeader = "Clusterkit-Timeout-Ms"
)
