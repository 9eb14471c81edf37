//go:build !unix

package direct

// usable says whether the state of an idle connection can be seen on this system.
const usable = false

// isQuiet is not called on this system.
func (c *conn) isQuiet() bool { return false }

// isOver is not known on this system.
func isOver(uintptr) bool { return false }
