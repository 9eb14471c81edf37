package membership

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
)

// View is what a member wants the others to agree with: a fingerprint of
// whatever it derived from the members, and the members it was derived from.
type View struct {
	// Fingerprint is opaque; members agree when theirs are equal. It must
	// cover who the members are, so that equal fingerprints mean equal
	// lists of IDs.
	Fingerprint uint64
	// Configuration names what the view was derived with, so that members
	// that differ can tell whether that is why.
	Configuration string
	// Members are the members of the view, ascending by ID. The slice is
	// kept and must not be modified.
	Members []Member
	// Participants are those of them that can hold the view at all, ascending
	// by ID; nil means all. Agreement is about them: what the others lack is
	// theirs to say.
	Participants []Member
}

func (v View) participants() []Member {
	if v.Participants == nil {
		return v.Members
	}
	return v.Participants
}

// digest is a view in 24 bytes: enough to see that two differ, and in what.
type digest struct {
	fingerprint   uint64
	members       uint64 // who is there, with their starts and states
	configuration uint64
}

func (v View) digest() digest {
	return digest{
		fingerprint:   v.Fingerprint,
		members:       hashMembers(v.Members, true),
		configuration: xxhash.Sum64String(v.Configuration),
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
