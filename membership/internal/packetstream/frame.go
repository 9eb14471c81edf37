package packetstream

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A stream of packets begins with a mark and a version, the gossip port of the sender, and the
// label of the cluster with its length before it. Then each packet has its length in two bytes
// before it. The receiver writes one byte back whenever it has read packets.
const (
	helloVersion = 1
	maxPacket    = 16 << 10
	confirmation = 1
)

// helloMark begins a stream of packets. The streams of memberlist begin with 0 to 13 or 244, and
// the refusal of a guard with 0xC1.
var helloMark = [...]byte{0xC2, 'c', 'k'}

var (
	errOtherLabel = errors.New("membership: stream of packets of another cluster")
	errHello      = errors.New("membership: stream of packets without a valid beginning")
	errFrame      = errors.New("membership: packet without a valid length")
)

func hello(port uint16, label string) []byte {
	b := append(helloMark[:], helloVersion)
	b = binary.BigEndian.AppendUint16(b, port)
	return append(append(b, byte(len(label))), label...)
}

// readHello reads the beginning of a stream of packets, after the first byte, and returns the port
// of the sender.
func readHello(r io.Reader, label string) (port uint16, err error) {
	var head [len(helloMark) - 1 + 3]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, err
	}
	rest := len(helloMark) - 1
	if !bytes.Equal(head[:rest], helloMark[1:]) || head[rest] != helloVersion {
		return 0, fmt.Errorf("%w: %x", errHello, head[:rest+1])
	}
	var size [1]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return 0, err
	}
	other := make([]byte, size[0])
	if _, err := io.ReadFull(r, other); err != nil {
		return 0, err
	}
	if string(other) != label {
		return 0, fmt.Errorf("%w, %q", errOtherLabel, other)
	}
	return binary.BigEndian.Uint16(head[rest+1:]), nil
}

func appendFrame(b, packet []byte) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(packet))), packet...)
}

// readSize reads the length before a packet.
func readSize(r io.Reader) (int, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return 0, err
	}
	n := int(binary.BigEndian.Uint16(size[:]))
	if n == 0 || n > maxPacket {
		return 0, fmt.Errorf("%w: %d bytes", errFrame, n)
	}
	return n, nil
}
