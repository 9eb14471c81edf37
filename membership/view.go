package membership

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
)

// view is what a member wants the others to agree with: a fingerprint of whatever it
// derived from the members, and the members it was derived from. See driver.Publish.
type view struct {
	fingerprint   uint64
	configuration string
	members       []Member
	participants  []Member // nil: all members
}

// holders are the members that should come to hold the view.
func (v view) holders() []Member {
	if v.participants == nil {
		return v.members
	}
	return v.participants
}

// digest is a view in 24 bytes: enough to see that two differ, and in what.
type digest struct {
	fingerprint   uint64
	members       uint64 // the members, with their starts and states
	configuration uint64
}

func (v view) digest() digest {
	return digest{
		fingerprint:   v.fingerprint,
		members:       hashMembers(v.members, true),
		configuration: xxhash.Sum64String(v.configuration),
	}
}

// hashMembers hashes identities and starts, and states if asked to.
func hashMembers(members []Member, states bool) uint64 {
	var d xxhash.Digest
	d.Reset()
	buf := make([]byte, 0, 192)
	for _, m := range members {
		buf = binary.LittleEndian.AppendUint16(buf[:0], uint16(len(m.ID)))
		buf = append(buf, m.ID...)
		buf = binary.LittleEndian.AppendUint64(buf, m.Start.Number)
		buf = binary.LittleEndian.AppendUint64(buf, m.Start.Nonce)
		if m.Renewal != 0 {
			buf = binary.LittleEndian.AppendUint64(buf, m.Renewal)
		}
		if states {
			buf = append(buf, byte(m.State))
		}
		_, _ = d.Write(buf) // a Digest's Write cannot fail
	}
	return d.Sum64()
}

// Why a member's view differs from ours.
const (
	reasonSilent        = "has not confirmed this view"
	reasonMembers       = "sees other members"
	reasonConfiguration = "runs another configuration"
	reasonAlgorithm     = "computes another result from the same members and configuration"
)

// reason says in what theirs differs from d, and whether an exchange of
// members could mend it.
func (d digest) reason(theirs digest) (reason string, mendable bool) {
	switch {
	case d.members != theirs.members:
		return reasonMembers, true
	case d.configuration != theirs.configuration:
		return reasonConfiguration, false
	default:
		return reasonAlgorithm, false
	}
}
