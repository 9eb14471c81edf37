package membership

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

const (
	nameMark     = '~' // not allowed in a NodeID
	nameTail     = 1 + 16
	maxNameShown = 64 // characters of an invalid text in an error
)

// gossipName returns the name under which one start of a NodeID gossips. A restart has another
// name, so that no member takes it for the earlier process.
func gossipName(id string, nonce uint64) string {
	return fmt.Sprintf("%s%c%016x", id, nameMark, nonce)
}

// splitName splits a gossip name. It accepts exactly the names that gossipName makes
// from valid NodeIDs.
func splitName(name string) (id string, nonce uint64, err error) {
	at := len(name) - nameTail
	if at < 1 || name[at] != nameMark || !validIdentifier(name[:at]) {
		return "", 0, badName(name)
	}
	var b [8]byte
	digits := name[at+1:]
	if _, err := hex.Decode(b[:], []byte(digits)); err != nil || hex.EncodeToString(b[:]) != digits {
		return "", 0, badName(name)
	}
	return name[:at], binary.BigEndian.Uint64(b[:]), nil
}

func badName(name string) error {
	return fmt.Errorf("membership: gossip name %.*q is not a NodeID, %q and 16 hexadecimal digits", maxNameShown, name, nameMark)
}

// validIdentifier reports whether s can name a member or a cluster: 1 to
// maxNameLength bytes, all of them letters, digits or one of ._:/@-, all ASCII.
func validIdentifier(s string) bool {
	if s == "" || len(s) > maxNameLength {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '.', c == '_', c == ':', c == '/', c == '@', c == '-':
		default:
			return false
		}
	}
	return true
}
