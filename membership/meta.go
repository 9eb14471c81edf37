package membership

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/hashicorp/memberlist"

	"github.com/clusterkit/clusterkit/membership/printable"
)

// Metadata on the wire: the version, then fields. A field is a tag of one byte, the
// length of its value as an unsigned varint, and the value. Tags do not repeat; unknown
// ones are skipped, so that a release can add fields while older members run. A field
// that must not be skipped needs another version. A field that is absent has its
// default: no text, no entries, weight 1.
const (
	metaVersion = 1

	maxMetaSize  = memberlist.MetaMaxSize
	reservedMeta = 64 // reserved for the library's own fields, now and later
	maxUserMeta  = maxMetaSize - reservedMeta

	maxWeight         = 1 << 20
	maxPartitionCount = 1 << 20
	maxStarted        = 253402300799 // the last second of the year 9999, the last one that a time has in JSON
)

// Tags of the values of the user.
const (
	tagRegion byte = 1 + iota
	tagZone
	tagWeight
	tagHTTPAddr
	tagServices
	tagMetadata
	tagPartitionCount
	tagConfigurations
	tagVersion
)

// Tags of the values of the library.
const (
	tagState byte = 64 + iota
	tagStarted
	tagStartNumber
	tagOrigin
	tagGrace
	tagRenewal
	tagBare
	tagZoneGrace
)

// MetadataSizeError says that the announced values of a member do not fit into gossip.
type MetadataSizeError struct {
	// Size is the size of the encoded values, and Limit the largest possible size, both
	// in bytes.
	Size, Limit int
	// Largest is the largest field: Region, Zone, HTTPAddr, Services, Metadata,
	// Configurations or Version.
	Largest string
}

// Error names both sizes and the field to shorten.
func (e *MetadataSizeError) Error() string {
	return fmt.Sprintf("membership: what this member gossips about itself takes %d bytes, the limit is %d: "+
		"shorten %s, which takes most (Region, Zone, HTTPAddr, Services, Metadata, Configurations and Version count)",
		e.Size, e.Limit, e.Largest)
}

type metaField struct {
	tag   byte
	name  string
	value []byte
}

func (f metaField) append(b []byte) []byte {
	b = append(b, f.tag)
	b = binary.AppendUvarint(b, uint64(len(f.value)))
	return append(b, f.value...)
}

// encodeMeta returns the metadata that the member gossips, at most maxMetaSize bytes,
// the same for equal members. It does not contain the ID, the address and the nonce of
// the start, which memberlist sends. It refuses the values that decodeMeta refuses, and
// returns a *MetadataSizeError for values that do not fit.
func encodeMeta(m Member) ([]byte, error) {
	if err := checkMeta(m); err != nil {
		return nil, fmt.Errorf("membership: encoding metadata: %w", err)
	}
	if err := checkMetaSize(m); err != nil {
		return nil, err
	}
	b := make([]byte, 1, maxMetaSize)
	b[0] = metaVersion
	for _, f := range userFields(m) {
		b = f.append(b)
	}
	for _, f := range libraryFields(m) {
		b = f.append(b)
	}
	return b, nil
}

// checkMetaSize returns a *MetadataSizeError when the user's part of the metadata is
// larger than maxUserMeta. When it returns nil, encodeMeta never fails because of the
// size, for any values of the library.
func checkMetaSize(m Member) error {
	var size, most int
	var largest string
	for _, f := range userFields(m) {
		n := len(f.append(nil))
		size += n
		if n > most {
			most, largest = n, f.name
		}
	}
	if size <= maxUserMeta {
		return nil
	}
	return &MetadataSizeError{Size: size, Limit: maxUserMeta, Largest: largest}
}

func userFields(m Member) []metaField {
	var fields []metaField
	add := func(tag byte, name string, value []byte) {
		if len(value) > 0 {
			fields = append(fields, metaField{tag, name, value})
		}
	}
	add(tagRegion, "Region", []byte(m.Region))
	add(tagZone, "Zone", []byte(m.Zone))
	if m.Weight != 1 {
		add(tagWeight, "Weight", binary.AppendUvarint(nil, uint64(m.Weight)))
	}
	add(tagHTTPAddr, "HTTPAddr", []byte(m.HTTPAddr))
	add(tagServices, "Services", appendPairs(nil, m.Services))
	add(tagMetadata, "Metadata", appendPairs(nil, m.Metadata))
	add(tagPartitionCount, "PartitionCount", binary.AppendUvarint(nil, uint64(m.PartitionCount)))
	var list []byte
	for _, c := range m.Configurations {
		list = appendText(list, c)
	}
	add(tagConfigurations, "Configurations", list)
	add(tagVersion, "Version", []byte(m.Version))
	return fields
}

func libraryFields(m Member) []metaField {
	fields := []metaField{{tagState, "State", []byte{byte(m.State)}}}
	if !m.Started.IsZero() {
		fields = append(fields, metaField{tagStarted, "Started", binary.AppendUvarint(nil, uint64(m.Started.Unix()))})
	}
	if m.Start.Number != 0 {
		fields = append(fields, metaField{tagStartNumber, "Start", binary.AppendUvarint(nil, m.Start.Number)})
	}
	if m.Origin != 0 {
		fields = append(fields, metaField{tagOrigin, "Origin", binary.AppendUvarint(nil, m.Origin)})
	}
	if m.Grace != 0 {
		fields = append(fields, metaField{tagGrace, "Grace", binary.AppendUvarint(nil, uint64(milliseconds(m.Grace)))})
	}
	if m.Renewal != 0 {
		fields = append(fields, metaField{tagRenewal, "Renewal", binary.AppendUvarint(nil, m.Renewal)})
	}
	if m.Bare {
		fields = append(fields, metaField{tagBare, "Bare", nil})
	}
	if m.ZoneGrace != 0 {
		fields = append(fields, metaField{tagZoneGrace, "ZoneGrace", binary.AppendUvarint(nil, uint64(milliseconds(m.ZoneGrace)))})
	}
	return fields
}

func appendText(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func appendPairs(b []byte, pairs map[string]string) []byte {
	for _, k := range slices.Sorted(maps.Keys(pairs)) {
		b = appendText(b, k)
		b = appendText(b, pairs[k])
	}
	return b
}

// checkMeta holds the rules for the values of a member's metadata. Encoding and decoding both call
// it, so that a member cannot announce values that other members would refuse.
func checkMeta(m Member) error {
	switch {
	case m.Weight < 1 || m.Weight > maxWeight:
		return fmt.Errorf("weight %d is not in [1, %d]", m.Weight, maxWeight)
	case m.PartitionCount < 1 || m.PartitionCount > maxPartitionCount:
		return fmt.Errorf("partition count %d is not in [1, %d]", m.PartitionCount, maxPartitionCount)
	case m.State < Joining || m.State > Away:
		return fmt.Errorf("unknown state %d", uint8(m.State))
	case m.Grace < 0 || m.Grace > maxGrace:
		return fmt.Errorf("grace %v is not in [0, %v]", m.Grace, maxGrace)
	case (m.State == Away) != (m.Grace > 0):
		return fmt.Errorf("grace %v in state %v: a member has one in state %v, and in no other", m.Grace, m.State, Away)
	case m.ZoneGrace < 0 || m.ZoneGrace > maxGrace:
		return fmt.Errorf("zone grace %v is not in [0, %v]", m.ZoneGrace, maxGrace)
	case m.Bare && m.State != Leaving:
		return fmt.Errorf("bare in state %v: a member is so in state %v, and in no other", m.State, Leaving)
	case !m.Started.IsZero() && (m.Started.Unix() < 0 || m.Started.Unix() > maxStarted):
		return fmt.Errorf("start time of %d seconds is not in [0, %d]", m.Started.Unix(), int64(maxStarted))
	}
	for _, f := range []struct{ name, text string }{{"region", m.Region}, {"zone", m.Zone}, {"HTTP address", m.HTTPAddr}} {
		if err := checkText(f.name, f.text); err != nil {
			return err
		}
	}
	return errors.Join(checkPairs("services", m.Services), checkPairs("metadata", m.Metadata), checkList(m.Configurations), checkVersion(m.Version))
}

// checkText refuses texts that cannot be printed, such as one with a line break, which could forge a
// line of a log. Values of Metadata may have any characters.
func checkText(name, text string) error {
	switch {
	case !utf8.ValidString(text):
		return notUTF8(name, text)
	case !printable.Is(text):
		return fmt.Errorf("%s %.*q is not printable", name, maxNameShown, text)
	}
	return nil
}

func notUTF8(name, text string) error {
	return fmt.Errorf("%s %.*q is not UTF-8", name, maxNameShown, text)
}

func checkPairs(name string, pairs map[string]string) error {
	for _, k := range slices.Sorted(maps.Keys(pairs)) {
		if k == "" {
			return fmt.Errorf("%s has an entry without a name", name)
		}
		if err := checkText("name in "+name, k); err != nil {
			return err
		}
		if !utf8.ValidString(pairs[k]) {
			return notUTF8(fmt.Sprintf("value of %q in %s", k, name), pairs[k])
		}
	}
	return nil
}

func checkList(configurations []string) error {
	for _, c := range configurations {
		if c == "" {
			return errors.New("a configuration has no name")
		}
		if err := checkText("configuration", c); err != nil {
			return err
		}
	}
	return nil
}

// memberTime returns the time in the form of Started: seconds, UTC.
func memberTime(unix int64) time.Time { return time.Unix(unix, 0).UTC() }

// decodeMeta returns the member with the given gossip name, address and metadata. It
// keeps no reference to b, never panics, and allocates in proportion to len(b), which
// is at most maxMetaSize.
func decodeMeta(name string, addr netip.AddrPort, b []byte) (Member, error) {
	id, nonce, err := splitName(name)
	if err != nil {
		return Member{}, err
	}
	m := Member{ID: id, Addr: addr, Weight: 1, Start: Start{Nonce: nonce}}
	if err := decodeFields(&m, b); err != nil {
		return Member{}, fmt.Errorf("membership: decoding metadata of %q: %w", name, err)
	}
	if err := checkMeta(m); err != nil {
		return Member{}, fmt.Errorf("membership: decoding metadata of %q: %w", name, err)
	}
	return m, nil
}
