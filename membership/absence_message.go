package membership

import (
	"encoding/binary"
	"net"
	"time"

	"github.com/hashicorp/memberlist"
)

// maxAbsenceRecord bounds the bytes of one record: the remaining time, a gossip name, an address,
// a port, and metadata, each with its length.
const maxAbsenceRecord = 4*binary.MaxVarintLen16 + maxNameLength + nameTail + net.IPv6len + 2 + maxMetaSize

// maxAbsenceMessage bounds the bytes of what another member says about absences.
const maxAbsenceMessage = 1 + maxAbsenceRecords*maxAbsenceRecord

// maxAbsenceRecords bounds the number of records in it.
const maxAbsenceRecords = 2*maxAbsences + maxLeftTold

// leftMark stands in place of the remaining time where the member has left for good: 0 in two bytes.
// A member of an earlier release takes it for an absence that is over.
const leftMark = "\x80\x00"

// absenceRecord is what one member tells another about an absence.
type absenceRecord struct {
	member    Member        // where the absence is over only its ID and nonce
	remaining time.Duration // until the grace is over; 0: the absence is over
	left      bool          // the member was never away: it has left for good
}

func (r absenceRecord) over() bool { return r.remaining == 0 }

// encodeAbsences encodes the records. A record is the remaining time in milliseconds, and the
// gossip name. Unless the absence is over, or the member has left, address, port and metadata
// follow.
func encodeAbsences(records []absenceRecord) []byte {
	b := []byte{messageVersion | kindAbsences}
	for _, r := range records {
		var meta []byte
		if !r.over() {
			var err error
			if meta, err = encodeMeta(r.member); err != nil {
				continue // it was decoded once, so this does not happen
			}
		}
		if r.left {
			b = append(b, leftMark...)
		} else {
			b = binary.AppendUvarint(b, uint64(milliseconds(r.remaining)))
		}
		b = appendText(b, gossipName(r.member.ID, r.member.Start.Nonce))
		if r.over() {
			continue
		}
		b = appendText(b, string(r.member.Addr.Addr().AsSlice()))
		b = binary.LittleEndian.AppendUint16(b, r.member.Addr.Port())
		b = appendText(b, string(meta))
	}
	return b
}

// milliseconds rounds up.
func milliseconds(d time.Duration) int64 { return int64((d + time.Millisecond - 1) / time.Millisecond) }

// rawAbsence is a record whose member has not been checked.
type rawAbsence struct {
	remaining time.Duration
	left      bool
	node      memberlist.Node
}

// parseAbsences reads what encodeAbsences wrote. It never panics, allocates in proportion to
// len(b), and the result shares b.
func parseAbsences(b []byte) ([]rawAbsence, error) {
	if len(b) == 0 || len(b) > maxAbsenceMessage || b[0] != messageVersion|kindAbsences {
		return nil, errMessage
	}
	var records []rawAbsence
	for b = b[1:]; len(b) > 0; {
		remaining, size := binary.Uvarint(b)
		if size <= 0 || remaining > uint64(maxRestartGrace/time.Millisecond) || len(records) >= maxAbsenceRecords {
			return nil, errMessage
		}
		left := string(b[:size]) == leftMark
		name, rest, err := cutBytes(b[size:])
		if err != nil || len(name) > maxNameLength+nameTail {
			return nil, errMessage
		}
		record := rawAbsence{remaining: time.Duration(remaining) * time.Millisecond, left: left, node: memberlist.Node{Name: string(name)}}
		if remaining > 0 {
			addr, tail, err := cutBytes(rest)
			if err != nil || len(addr) > net.IPv6len || len(tail) < 2 {
				return nil, errMessage
			}
			record.node.Addr, record.node.Port = addr, binary.LittleEndian.Uint16(tail)
			if record.node.Meta, rest, err = cutBytes(tail[2:]); err != nil || len(record.node.Meta) > maxMetaSize {
				return nil, errMessage
			}
		}
		records, b = append(records, record), rest
	}
	return records, nil
}

// admitAbsence returns a record that was read, or the reason to ignore it. What a member that is
// there could not announce, no record says.
func (a *admission) admitAbsence(raw rawAbsence) (absenceRecord, error) {
	if raw.remaining == 0 {
		id, nonce, err := splitName(raw.node.Name)
		return absenceRecord{member: Member{ID: id, Start: Start{Nonce: nonce}}, left: raw.left}, err
	}
	m, err := a.admit(&raw.node)
	if err != nil {
		return absenceRecord{}, err
	}
	if m.State != Away {
		return absenceRecord{}, errMessage
	}
	return absenceRecord{member: m, remaining: min(raw.remaining, m.Grace)}, nil
}
