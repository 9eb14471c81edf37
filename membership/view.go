package membership

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
)

// view is the view on which a member wants to agree with the others: the fingerprint of
// a value that was derived from the members, and these members. See driver.Publish.
type view struct {
	fingerprint   uint64
	configuration string
	members       []Member
	participants  []Member // nil means all members
}

// holders returns the members that should hold the view.
func (v view) holders() []Member {
	if v.participants == nil {
		return v.members
	}
	return v.participants
}

// digest is a view in 24 bytes. Two digests show whether the views differ, and in which
// part.
type digest struct {
	fingerprint   uint64
	members       uint64 // hash of the members with their starts and states
	configuration uint64
}

func (v view) digest() digest {
	return digest{
		fingerprint:   v.fingerprint,
		members:       hashMembers(v.members, true),
		configuration: xxhash.Sum64String(v.configuration),
	}
}

// hashMembers hashes identities and starts, and also states if asked to.
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
		_, _ = d.Write(buf) // Write of a Digest cannot fail
	}
	return d.Sum64()
}

// The reasons for which a member's view differs from the view of this member.
const (
	reasonSilent        = "has not confirmed this view"
	reasonMembers       = "sees other members"
	reasonConfiguration = "runs another configuration"
	reasonAlgorithm     = "computes another result from the same members and configuration"
)

// reason returns how theirs differs from d, and whether an exchange of members could
// end the difference.
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
