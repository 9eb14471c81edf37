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

// maxAbsenceMessage bounds the bytes of one message about absences.
const maxAbsenceMessage = 1 + maxAbsenceRecords*maxAbsenceRecord

// maxAbsenceRecords bounds the number of records in one message about absences.
const maxAbsenceRecords = 2*maxAbsences + maxLeftTold

// leftMark is written in place of the remaining time of a member that has left for good. It is the
// number 0 in two bytes. A member of an earlier release reads it as an absence that is over.
const leftMark = "\x80\x00"

// absenceRecord is what one member tells another about one absence.
type absenceRecord struct {
	member    Member        // a receiver gets only ID and nonce when remaining is 0
	remaining time.Duration // until the grace is over; 0: the absence is over, or left is set
	left      bool          // the member was never away: it has left for good
}

func (r absenceRecord) over() bool { return r.remaining == 0 }

// encodeAbsences encodes the records. Each record begins with the remaining time in milliseconds
// and the gossip name. Address, port and metadata follow while the absence lasts.
func encodeAbsences(records []absenceRecord) []byte {
	b := []byte{messageVersion | kindAbsences}
	for _, r := range records {
		var meta []byte
		if !r.over() {
			var err error
			if meta, err = encodeMeta(r.member); err != nil {
				continue // not reached: the same metadata was decoded before
			}
		}
		if r.left {
			b = append(b, leftMark...)
		} else {
			b = binary.AppendUvarint(b, uint64(max(milliseconds(r.remaining), 0)))
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

// milliseconds returns d in milliseconds, rounded up.
func milliseconds(d time.Duration) int64 { return int64((d + time.Millisecond - 1) / time.Millisecond) }

// wholeMilliseconds returns d, rounded up to milliseconds.
func wholeMilliseconds(d time.Duration) time.Duration {
	return time.Duration(milliseconds(d)) * time.Millisecond
}

// rawAbsence is a record whose member has not been checked.
type rawAbsence struct {
	remaining time.Duration
	left      bool
	node      memberlist.Node
}

// parseAbsences reads a message of encodeAbsences. It never panics, and allocates in proportion to
// len(b). The result shares memory with b.
func parseAbsences(b []byte) ([]rawAbsence, error) {
	if len(b) == 0 || len(b) > maxAbsenceMessage || b[0] != messageVersion|kindAbsences {
		return nil, errMessage
	}
	var records []rawAbsence
	for b = b[1:]; len(b) > 0; {
		remaining, size := binary.Uvarint(b)
		if size <= 0 || remaining > uint64(maxGrace/time.Millisecond) || len(records) >= maxAbsenceRecords {
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

// admitAbsence returns the checked record, or the reason to ignore it. The record of a member that
// is Away passes the same checks as an announcement of a member that is alive.
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
