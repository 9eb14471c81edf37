package api

// MaxKeyBytes is the length of the longest key that can be looked up over HTTP, in
// bytes. A key of this length fits in the request line of a server with default
// options, even if each of its bytes is percent-escaped.
const MaxKeyBytes = 4096

// Headers that routers read and write. Neither is a secret or a proof: every process
// that can reach a member can send them. The worst result is a deadline that the caller
// has chosen for itself. A router takes both out of a request before its handler runs.
const (
	// TokenHeader carries the ring's token of the key's partition by the view of the
	// member that answered or refused. Equal tokens mean the same owners.
	TokenHeader = "Clusterkit-Token"
	// TimeoutHeader carries the time for which the caller still waits, in milliseconds.
	// Any client may send it.
	TimeoutHeader = "Clusterkit-Timeout-Ms"
)
