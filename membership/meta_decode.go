package membership

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

var (
	errMetaShort  = errors.New("truncated")
	errMetaNumber = errors.New("not a number of its size")
)

// decodeFields decodes the fields of the metadata into m. checkMeta checks the values.
func decodeFields(m *Member, b []byte) error {
	switch {
	case len(b) == 0:
		return errors.New("there is none: is this a clusterkit member?")
	case len(b) > maxMetaSize:
		return fmt.Errorf("%d bytes are over the limit of %d", len(b), maxMetaSize)
	case b[0] > metaVersion:
		return fmt.Errorf("format version %d is newer than this release reads (%d): upgrade this member", b[0], metaVersion)
	case b[0] < metaVersion:
		return fmt.Errorf("format version %d is not known", b[0])
	}
	var seen [256]bool
	for b = b[1:]; len(b) > 0; {
		tag := b[0]
		value, rest, err := cutBytes(b[1:])
		switch {
		case err != nil:
			return fmt.Errorf("field %d: %w", tag, err)
		case tag == 0:
			return errors.New("field 0 does not exist")
		case seen[tag]:
			return fmt.Errorf("field %d occurs twice", tag)
		}
		seen[tag] = true
		if err := decodeField(m, tag, value); err != nil {
			return fmt.Errorf("field %d: %w", tag, err)
		}
		b = rest
	}
	return nil
}

func decodeField(m *Member, tag byte, value []byte) (err error) {
	var n uint64
	switch tag {
	case tagRegion:
		m.Region = string(value)
	case tagZone:
		m.Zone = string(value)
	case tagWeight:
		m.Weight, err = smallNumber(value, maxWeight)
	case tagHTTPAddr:
		m.HTTPAddr = string(value)
	case tagServices:
		m.Services, err = decodePairs(value)
	case tagMetadata:
		m.Metadata, err = decodePairs(value)
	case tagPartitionCount:
		m.PartitionCount, err = smallNumber(value, maxPartitionCount)
	case tagConfigurations:
		m.Configurations, err = decodeList(value)
	case tagVersion:
		// Any other text is no version, and no reason to refuse a member that an earlier
		// release admits.
		if checkVersion(string(value)) == nil {
			m.Version = string(value)
		}
	case tagState:
		if len(value) != 1 {
			return errMetaNumber
		}
		m.State = State(value[0])
	case tagStarted:
		n, err = number(value, maxStarted)
		m.Started = memberTime(int64(min(n, maxStarted)))
	case tagStartNumber:
		m.Start.Number, err = number(value, 1<<64-1)
	case tagOrigin:
		m.Origin, err = number(value, 1<<64-1)
	case tagRenewal:
		m.Renewal, err = number(value, 1<<64-1)
	case tagBare:
		if len(value) != 0 {
			return errMetaNumber
		}
		m.Bare = true
	case tagGrace:
		m.Grace, err = shortTime(value)
	case tagZoneGrace:
		m.ZoneGrace, err = shortTime(value)
	}
	return err
}

// shortTime decodes a time in milliseconds, at most maxGrace.
func shortTime(value []byte) (time.Duration, error) {
	n, err := smallNumber(value, int(maxGrace/time.Millisecond))
	return time.Duration(n) * time.Millisecond, err
}

// number decodes a value that is exactly one unsigned varint.
func number(value []byte, limit uint64) (uint64, error) {
	n, size := binary.Uvarint(value)
	if size <= 0 || size != len(value) {
		return 0, errMetaNumber
	}
	if n > limit {
		return 0, fmt.Errorf("%d is over the limit of %d", n, limit)
	}
	return n, nil
}

// smallNumber is number for a limit that fits into 31 bits.
func smallNumber(value []byte, limit int) (int, error) {
	n, err := number(value, uint64(max(limit, 0)))
	return int(min(n, math.MaxInt32)), err
}

// cutBytes reads a length, and then that number of bytes, from the beginning of b.
func cutBytes(b []byte) (value, rest []byte, err error) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(max(len(b)-size, 0)) {
		return nil, nil, errMetaShort
	}
	end := size + int(min(n, math.MaxInt32))
	return b[size:end], b[end:], nil
}

func decodePairs(b []byte) (map[string]string, error) {
	var pairs map[string]string
	var last string
	for len(b) > 0 {
		k, rest, err := cutBytes(b)
		if err != nil {
			return nil, err
		}
		v, rest, err := cutBytes(rest)
		if err != nil {
			return nil, err
		}
		key := string(k)
		if pairs == nil {
			pairs = make(map[string]string)
		} else if key <= last {
			return nil, fmt.Errorf("name %q is not in order", key)
		}
		pairs[key], last, b = string(v), key, rest
	}
	return pairs, nil
}

func decodeList(b []byte) ([]string, error) {
	var list []string
	for len(b) > 0 {
		s, rest, err := cutBytes(b)
		if err != nil {
			return nil, err
		}
		list, b = append(list, string(s)), rest
	}
	return list, nil
}
