package ring

// Owner is one owner of a placement: a [Node] of the ring that the placement came from.
// It takes one word, so copying it costs nothing. A caller can read its node and cannot
// change it. Owners of one ring are equal when they are the same node; to compare
// owners of two rings, compare their IDs.
//
// The zero Owner has no node: its ID is empty.
type Owner struct{ node *Node }

// ID returns the node's identity.
func (o Owner) ID() string {
	if o.node == nil {
		return ""
	}
	return o.node.ID
}

// Region returns the node's region.
func (o Owner) Region() string { return o.Node().Region }

// Zone returns the node's zone, which lies within its region.
func (o Owner) Zone() string { return o.Node().Zone }

// Node returns a copy of the node.
func (o Owner) Node() Node {
	if o.node == nil {
		return Node{}
	}
	return *o.node
}
