//go:build linux

package process_test

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"
)

// dnsServer answers questions about names over UDP and TCP. Its records may change at any time.
type dnsServer struct {
	addr string

	mu    sync.Mutex
	hosts map[string][]netip.Addr // for A and AAAA
	srv   map[string][]dnsmessage.SRVResource
	asked map[dnsmessage.Type]int // the number of questions
}

// startDNS starts a DNS server without records, until the test ends.
func startDNS(t *testing.T) *dnsServer {
	t.Helper()
	streams, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	packets, err := net.ListenPacket("udp", streams.Addr().String())
	require.NoError(t, err)
	s := &dnsServer{
		addr: streams.Addr().String(), hosts: make(map[string][]netip.Addr), srv: make(map[string][]dnsmessage.SRVResource),
		asked: make(map[dnsmessage.Type]int),
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		buffer := make([]byte, 1500)
		for {
			n, from, err := packets.ReadFrom(buffer)
			if err != nil {
				return
			}
			if answer := s.answer(buffer[:n]); answer != nil {
				_, _ = packets.WriteTo(answer, from) // the resolver asks again
			}
		}
	})
	serving.Go(func() {
		for {
			conn, err := streams.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { s.stream(conn) })
		}
	})
	t.Cleanup(func() {
		require.NoError(t, packets.Close())
		require.NoError(t, streams.Close())
		serving.Wait()
	})
	return s
}

// stream answers the first question of a stream.
func (s *dnsServer) stream(conn net.Conn) {
	defer conn.Close()
	size := make([]byte, 2)
	if _, err := io.ReadFull(conn, size); err != nil {
		return
	}
	question := make([]byte, binary.BigEndian.Uint16(size))
	if _, err := io.ReadFull(conn, question); err != nil {
		return
	}
	answer := s.answer(question)
	_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)) // the resolver asks again
}

// set replaces the addresses of a name.
func (s *dnsServer) set(name string, addrs ...netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hosts[name] = addrs
}

// setSRV replaces the SRV records of a name.
func (s *dnsServer) setSRV(name string, records ...dnsmessage.SRVResource) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.srv[name] = records
}

// count returns how many questions of a type came.
func (s *dnsServer) count(of dnsmessage.Type) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[of]
}

// answer returns the answer to a question, or nil for a message that is none. A name without records
// does not exist.
func (s *dnsServer) answer(message []byte) []byte {
	var request dnsmessage.Message
	if request.Unpack(message) != nil || len(request.Questions) != 1 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	question := request.Questions[0]
	s.asked[question.Type]++
	name := strings.TrimSuffix(strings.ToLower(question.Name.String()), ".")
	response := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: request.ID, Response: true, Authoritative: true, RecursionDesired: request.RecursionDesired},
		Questions: request.Questions,
	}
	add := func(body dnsmessage.ResourceBody) {
		header := dnsmessage.ResourceHeader{Name: question.Name, Class: dnsmessage.ClassINET, TTL: 1}
		response.Answers = append(response.Answers, dnsmessage.Resource{Header: header, Body: body})
	}
	addrs, records := s.hosts[name], s.srv[name]
	if len(addrs)+len(records) == 0 {
		response.RCode = dnsmessage.RCodeNameError
	}
	for _, addr := range addrs {
		switch {
		case question.Type == dnsmessage.TypeA && addr.Is4():
			add(&dnsmessage.AResource{A: addr.As4()})
		case question.Type == dnsmessage.TypeAAAA && addr.Is6():
			add(&dnsmessage.AAAAResource{AAAA: addr.As16()})
		}
	}
	if question.Type == dnsmessage.TypeSRV {
		for i := range records {
			add(&records[i])
		}
	}
	packed, err := response.Pack()
	if err != nil {
		return nil
	}
	return packed
}
