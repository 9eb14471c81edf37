package hostile

import (
	"bytes"
	"compress/lzw"
	"encoding/binary"
	"fmt"
	"net"
	"time"
)

// The functions of this file encode messages of memberlist as a stranger would.

const clusterName = "hostile"

// labelled prefixes a message with the name of the cluster.
func labelled(message []byte) []byte {
	return append(append([]byte{0xf4, byte(len(clusterName))}, clusterName...), message...)
}

// number is a field of a map in msgpack.
func number(name string, n uint32) []byte {
	return binary.BigEndian.AppendUint32(append(append([]byte{0xa0 | byte(len(name))}, name...), 0xce), n)
}

// raw is a field of a map in msgpack, of up to 65,535 bytes.
func raw(name string, value []byte) []byte {
	b := append(append([]byte{0xa0 | byte(len(name))}, name...), 0xda)
	return append(binary.BigEndian.AppendUint16(b, uint16(len(value))), value...)
}

// sealed is the head of an encrypted stream that announces n bytes.
func sealed(n uint32) []byte { return append(binary.BigEndian.AppendUint32([]byte{10}, n), 1) }

// members is the head of an exchange of members.
func members(count, state uint32) []byte {
	return append(append([]byte{6, 0x82}, number("Nodes", count)...), number("UserStateLen", state)...)
}

// userMessage is the head of a message that announces n bytes.
func userMessage(n uint32) []byte { return append([]byte{8, 0x81}, number("UserMsgLen", n)...) }

// compressed is a message of a few bytes that becomes n bytes.
func compressed(n int) []byte {
	var packed bytes.Buffer
	w := lzw.NewWriter(&packed, lzw.LSB, 8)
	_, _ = w.Write(append(userMessage(uint32(n)), make([]byte, n)...)) // to memory
	_ = w.Close()
	return append(append([]byte{9, 0x82}, "\xa4Algo\x00"...), raw("Buf", packed.Bytes())...)
}

// news is what a message says about a member.
type news struct {
	id          string
	nonce       uint64
	incarnation uint32
	addr        string
	start       uint64
	versions    []byte
}

// ghost is news of a member that does not exist.
func ghost(id string, nonce uint64) news {
	return news{id: id, nonce: nonce, incarnation: 1, addr: "127.0.9.9:9", start: uint64(time.Now().UnixMilli()), versions: []byte{1, 5, 2, 0, 2, 0}}
}

func (n news) name() []byte { return fmt.Appendf(nil, "%s~%016x", n.id, n.nonce) }

// fields returns the fields of the message. The name has another key in an exchange.
func (n news) fields(key string) []byte {
	addr := must(net.ResolveUDPAddr("udp", n.addr))
	b := append(raw(key, n.name()), number("Incarnation", n.incarnation)...)
	b = append(append(b, raw("Addr", addr.IP.To4())...), number("Port", uint32(addr.Port))...)
	return append(append(b, raw("Meta", n.meta())...), raw("Vsn", n.versions)...)
}

// meta is the metadata of an active member with the configuration of the cluster.
func (n news) meta() []byte {
	b := []byte{1}
	field := func(tag byte, value []byte) {
		b = append(append(b, tag, byte(len(value))), value...)
	}
	field(7, binary.AppendUvarint(nil, partitions))
	field(8, append([]byte{byte(len(configuration()))}, configuration()...))
	field(64, []byte{1}) // active
	field(66, binary.AppendUvarint(nil, n.start))
	return b
}

func (n news) alive() []byte { return append([]byte{4, 0x86}, n.fields("Node")...) }

// dead says that a member has failed, or, with its own name as the source, that it has left.
func (n news) dead(from []byte) []byte {
	b := append(append([]byte{5, 0x83}, number("Incarnation", n.incarnation)...), raw("From", from)...)
	return append(b, raw("Node", n.name())...)
}

func (n news) suspect(from []byte) []byte {
	b := n.dead(from)
	b[0] = 3
	return b
}

// exchange is a stream that lists members.
func exchange(all []news) []byte {
	b := members(uint32(len(all)), 0)
	for _, n := range all {
		b = append(append(b, 0x86), n.fields("Name")...)
	}
	return b
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
