package api

// ActionResult is the answer to an action: what the member did, and the state that it is
// in afterwards.
type ActionResult struct {
	// Action is the name of the action: drain, resume, forget, accept-loss, install-key,
	// use-key or remove-key.
	Action string `json:"action"`
	// NodeID names the member that acted.
	NodeID string `json:"nodeId"`
	// State is the lifecycle of that member after the action, such as "draining".
	State string `json:"state"`
	// Changed says that the action changed something. It is false when an action is
	// repeated after it has succeeded.
	Changed bool `json:"changed"`
	// Done says that the action has ended. If it is false, the time for the request was
	// over first: send the request again to wait further.
	Done bool `json:"done"`
	// Detail says for people why nothing changed, or what the action still waits for. It
	// may be empty.
	Detail string `json:"detail,omitempty"`
}
