package testkit

import "encoding/binary"

// HTTP2Frame returns a frame of HTTP/2 (RFC 9113).
func HTTP2Frame(kind, flags byte, stream uint32, payload []byte) []byte {
	b := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags}
	return append(binary.BigEndian.AppendUint32(b, stream), payload...)
}
