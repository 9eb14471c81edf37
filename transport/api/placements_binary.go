package api

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/clusterkit/clusterkit/ring"
)

// The binary form of Placements begins with these bytes. The last one is its version.
const placementsMagic = "CKT\x01"

// The fields of the binary form. A field is its tag, the length of its value, and the
// value. A reader skips the tags that it does not know.
const (
	tagClusterName   = 1
	tagFingerprint   = 2
	tagConfiguration = 3
	tagMembers       = 4
	tagServing       = 5
	tagTarget        = 6
)

// MarshalBinary returns the compact form that GET /v1/table sends as
// application/vnd.clusterkit.table: two bytes for each owner of each partition, and the
// names. It returns an error for a table whose Owners do not fit its other fields.
func (p Placements) MarshalBinary() ([]byte, error) {
	b := []byte(placementsMagic)
	field := func(tag byte, value []byte) {
		b = append(b, tag)
		b = binary.AppendUvarint(b, uint64(len(value)))
		b = append(b, value...)
	}
	field(tagClusterName, []byte(p.ClusterName))
	field(tagFingerprint, binary.LittleEndian.AppendUint64(nil, uint64(p.Fingerprint)))
	field(tagConfiguration, []byte(p.Configuration))
	members := binary.AppendUvarint(nil, uint64(len(p.Members)))
	for _, m := range p.Members {
		members = appendText(members, m.ID, m.State, m.HTTPAddr)
		members = binary.AppendUvarint(members, uint64(len(m.Services)))
		for _, name := range slices.Sorted(maps.Keys(m.Services)) {
			members = appendText(members, name, m.Services[name])
		}
	}
	field(tagMembers, members)
	serving, err := p.Serving.encode()
	if err != nil {
		return nil, fmt.Errorf("api: encoding a table: serving: %w", err)
	}
	field(tagServing, serving)
	if p.Target != nil {
		target, err := p.Target.encode()
		if err != nil {
			return nil, fmt.Errorf("api: encoding a table: target: %w", err)
		}
		field(tagTarget, target)
	}
	return b, nil
}

func (t *PlacementTable) encode() ([]byte, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	b := make([]byte, 0, 2*len(t.Owners)+64*len(t.Nodes)+128)
	b = binary.LittleEndian.AppendUint64(b, uint64(t.Fingerprint))
	b = appendText(b, t.Strategy)
	for _, n := range []int{t.PartitionCount, t.ReplicationFactor, t.WriteQuorum, t.Replicas, len(t.Nodes)} {
		b = binary.AppendUvarint(b, uint64(max(n, 0)))
	}
	for _, n := range t.Nodes {
		b = appendText(b, n.ID, n.Region, n.Zone)
		b = binary.AppendUvarint(b, uint64(max(n.Weight, 0)))
		b = binary.LittleEndian.AppendUint64(b, n.Start)
	}
	for _, owner := range t.Owners {
		b = binary.LittleEndian.AppendUint16(b, owner)
	}
	return b, nil
}

// check checks the numbers that decide how long the table is, and that its owners exist.
func (t *PlacementTable) check() error {
	const maxReplicas = 16
	switch {
	case t.PartitionCount < 1 || t.PartitionCount > ring.MaxPartitionCount:
		return fmt.Errorf("the partition count is %d: must be between 1 and %d", t.PartitionCount, ring.MaxPartitionCount)
	case t.Replicas < 1 || t.Replicas > maxReplicas:
		return fmt.Errorf("the number of replicas is %d: must be between 1 and %d", t.Replicas, maxReplicas)
	case t.ReplicationFactor < t.Replicas || t.ReplicationFactor > maxReplicas:
		return fmt.Errorf("the replication factor is %d: must be between %d and %d", t.ReplicationFactor, t.Replicas, maxReplicas)
	case t.WriteQuorum < 0 || t.WriteQuorum > t.ReplicationFactor:
		return fmt.Errorf("the write quorum is %d: must be between 0 and %d", t.WriteQuorum, t.ReplicationFactor)
	case len(t.Nodes) < t.Replicas || len(t.Nodes) > ring.MaxNodes:
		return fmt.Errorf("the number of nodes is %d: must be between %d and %d", len(t.Nodes), t.Replicas, ring.MaxNodes)
	case len(t.Owners) != t.PartitionCount*t.Replicas:
		return fmt.Errorf("there are %d owners: must be %d", len(t.Owners), t.PartitionCount*t.Replicas)
	}
	for i, owner := range t.Owners {
		if int(owner) >= len(t.Nodes) {
			return fmt.Errorf("owner %d is node %d of %d", i, owner, len(t.Nodes))
		}
	}
	return nil
}

func appendText(b []byte, texts ...string) []byte {
	for _, text := range texts {
		b = binary.AppendUvarint(b, uint64(len(text)))
		b = append(b, text...)
	}
	return b
}

// UnmarshalBinary reads what MarshalBinary wrote, in this release or a later one with
// further fields. It allocates no more than a small multiple of the length of the data.
// After an error nothing has changed.
func (p *Placements) UnmarshalBinary(data []byte) error {
	if len(data) < len(placementsMagic) || string(data[:len(placementsMagic)]) != placementsMagic {
		return errors.New("api: decoding a table: this is no table of version 1")
	}
	var read Placements
	var served bool
	r := reader{rest: data[len(placementsMagic):]}
	for last := byte(0); len(r.rest) > 0 && r.err == nil; {
		tag := r.byte()
		if tag <= last {
			return fmt.Errorf("api: decoding a table: field %d comes after field %d", tag, last)
		}
		last = tag
		value := reader{rest: r.bytes(r.count(1))}
		switch tag {
		case tagClusterName:
			read.ClusterName = string(value.bytes(len(value.rest)))
		case tagFingerprint:
			read.Fingerprint = ring.Fingerprint(value.uint64())
		case tagConfiguration:
			read.Configuration = string(value.bytes(len(value.rest)))
		case tagMembers:
			read.Members = value.members()
		case tagServing:
			read.Serving, served = value.table(), true
		case tagTarget:
			target := value.table()
			read.Target = &target
		default:
			continue
		}
		if err := value.end(); err != nil && r.err == nil {
			return fmt.Errorf("api: decoding a table: field %d: %w", tag, err)
		}
	}
	if r.err == nil && !served {
		r.err = errors.New("it has no serving table")
	}
	if r.err != nil {
		return fmt.Errorf("api: decoding a table: %w", r.err)
	}
	*p = read
	return nil
}

// reader reads from a buffer. After the first error it returns zero values.
type reader struct {
	rest []byte
	err  error
}

var errShort = errors.New("it ends early")

func (r *reader) bytes(n int) []byte {
	if n > len(r.rest) {
		r.err, r.rest = errShort, nil
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.bytes(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.bytes(8); len(b) == 8 {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// number reads an unsigned varint of at most 31 bits.
func (r *reader) number() int {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 || v > math.MaxInt32 {
		r.err, r.rest = errShort, nil
		return 0
	}
	r.rest = r.rest[n:]
	return int(v)
}

// count reads how many things follow, each of which takes some bytes at least. So no
// number makes the reader allocate for more things than there are.
func (r *reader) count(least int) int {
	n := r.number()
	if n > len(r.rest)/least {
		r.err, r.rest = errShort, nil
		return 0
	}
	return n
}

func (r *reader) text() string { return string(r.bytes(r.count(1))) }

// end returns the first error, or one when something is left.
func (r *reader) end() error {
	if r.err == nil && len(r.rest) > 0 {
		return fmt.Errorf("%d bytes are left over", len(r.rest))
	}
	return r.err
}

func (r *reader) members() []Endpoint {
	all := make([]Endpoint, r.count(4))
	for i := range all {
		m := &all[i]
		m.ID, m.State, m.HTTPAddr = r.text(), r.text(), r.text()
		for n := r.count(2); n > 0; n-- {
			if m.Services == nil {
				m.Services = make(map[string]string, n)
			}
			name := r.text()
			m.Services[name] = r.text()
		}
	}
	return all
}

func (r *reader) table() (t PlacementTable) {
	t.Fingerprint = ring.Fingerprint(r.uint64())
	t.Strategy = r.text()
	t.PartitionCount, t.ReplicationFactor, t.WriteQuorum, t.Replicas = r.number(), r.number(), r.number(), r.number()
	t.Nodes = make([]PlacementNode, r.count(12))
	for i := range t.Nodes {
		n := &t.Nodes[i]
		n.ID, n.Region, n.Zone = r.text(), r.text(), r.text()
		n.Weight = r.number()
		n.Start = r.uint64()
	}
	t.Owners = make([]uint16, len(r.rest)/2)
	for i := range t.Owners {
		t.Owners[i] = binary.LittleEndian.Uint16(r.bytes(2))
	}
	if err := r.end(); err == nil {
		r.err = t.check()
	}
	return t
}
