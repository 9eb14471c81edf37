package route_test

import (
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/ring/option"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
	"github.com/clusterkit/clusterkit/transport/route"
)

// mark writes a mark of n9 to a member of a fleet, for the partition 0 by Nearest. A field
// can be another: its name and value.
func (f *fleet) mark(member int, with ...string) string {
	fields := []string{"1", "orders", "kv", "n9", fmt.Sprintf("n%d", member), "0", "0", "0", "0", "0", "00000000000000aa", "0123456789abcdef"}
	names := []string{"version", "cluster", "service", "from", "to", "start", "nonce", "partition", "policy", "form", "token", "number"}
	for i := 0; i+1 < len(with); i += 2 {
		fields[slices.Index(names, with[i])] = with[i+1]
	}
	return strings.Join(fields, " ")
}

// halves gives n2 the even partitions and n3 the odd ones.
type halves struct{}

func (halves) Name() string { return "halves/1" }

func (halves) Assign(t ring.Topology, table ring.Table) error {
	for p := range t.PartitionCount {
		table.Row(p)[0] = uint16(1 + p%2)
	}
	return nil
}

// keyOf returns a key whose primary is a member.
func keyOf(r *ring.Ring, id string) string {
	for i := 0; ; i++ {
		if key := fmt.Sprintf("key%d", i); r.Lookup(key).At(0).ID() == id {
			return key
		}
	}
}

func TestAMarkIsNoProof(t *testing.T) {
	f := newFleet(t, nil, nil, "eu/a", "eu/b", "eu/c")
	f.agree(2, 3)
	const number = "0123456789abcdef"
	mark := func(member int, with ...string) string { return wire.ForwardedHeader + ": " + f.mark(member, with...) }
	response, body := f.send(1, "GET", "/k", "", mark(1))
	requireFailure(t, response, body, 421, wire.Misdirected)
	require.Equal(t, number, response.Header.Get(wire.RefusedHeader))
	require.Equal(t, f.owned(2, 3).Placement(0).Token().String(), response.Header.Get(api.TokenHeader))
	require.EqualValues(t, 1, f.stats(1).Refused.Local)

	for _, member := range []int{2, 3} {
		response, body = f.send(member, "GET", "/k", "", mark(member))
		require.Equal(t, fmt.Sprintf("n%d", member), body)
		require.Equal(t, number, response.Header.Get(wire.AnsweredHeader))
	}
	response, body = f.send(3, "POST", "/k", "v", mark(3, "policy", "1"))
	requireFailure(t, response, body, 421, wire.Misdirected)

	// A request that is meant for another process does not run here, nor does one whose
	// mark cannot be read.
	for _, with := range [][2]string{
		{"cluster", "stock"}, {"service", "admin"}, {"to", "n3"}, {"start", "7"}, {"nonce", "7"},
	} {
		response, body = f.send(2, "POST", "/k", "v", mark(2, with[0], with[1]))
		requireFailure(t, response, body, 421, wire.Misdirected)
		require.Equal(t, number, response.Header.Get(wire.RefusedHeader), "%v", with)
	}
	response, body = f.send(2, "POST", "/k", "v", mark(2, "partition", "8"))
	requireFailure(t, response, body, 421, wire.Misdirected)
	for _, other := range []string{
		"", "orders kv n2", mark(2) + " more", f.mark(2, "version", "2"), f.mark(2, "policy", "3"), f.mark(2, "partition", "-1"),
		f.mark(2, "number", "0123456789ABCDEF"), f.mark(2, "number", "1"), f.mark(2, "to", strings.Repeat("n", 1024)),
	} {
		response, body = f.send(2, "POST", "/k", "v", wire.ForwardedHeader+": "+other)
		requireFailure(t, response, body, 421, wire.Misdirected)
		require.Empty(t, response.Header.Get(wire.RefusedHeader))
	}
	response, body = f.send(2, "POST", "/k", "v", mark(2), mark(2))
	requireFailure(t, response, body, 421, wire.Misdirected)
	require.Len(t, f.received(2), 1)
	require.Len(t, f.received(3), 1)
	require.Empty(t, f.received(1))
}

// TestANestedRequestIsARequestOfItsOwn: a handler sends the headers of its request on to
// its own service, for another key, and passes the answer back as it is.
func TestANestedRequestIsARequestOfItsOwn(t *testing.T) {
	var f *fleet
	var ran atomic.Int64
	var nestedKey atomic.Pointer[string]
	f = newFleet(t, func(w http.ResponseWriter, r *http.Request) {
		ran.Add(1)
		for name := range r.Header {
			if strings.HasPrefix(name, "Clusterkit-") {
				panic(name)
			}
		}
		if r.URL.Path == "/"+*nestedKey.Load() {
			_, _ = io.WriteString(w, "nested")
			return
		}
		nested, err := http.NewRequestWithContext(r.Context(), http.MethodPost, f.url(2, "/"+*nestedKey.Load()), nil)
		if err != nil {
			panic(err)
		}
		nested.Header = r.Header.Clone()
		response, err := f.client.Do(nested)
		if err != nil {
			panic(err)
		}
		defer func() { _ = response.Body.Close() }()
		maps.Copy(w.Header(), response.Header)
		w.WriteHeader(response.StatusCode)
		_, _ = io.Copy(w, response.Body)
	}, func(o *route.Options) { o.Patience = 50 * time.Millisecond }, "eu/a", "eu/b", "eu/c")
	both := f.build(1, halves{})
	key, nested := keyOf(both, "n2"), keyOf(both, "n3")
	nestedKey.Store(&nested)
	f.stations[0].set(both, f.members)
	f.stations[1].set(both, f.members)
	f.believe(3, 1) // n3 refuses the nested request
	response, body := f.send(1, "POST", "/"+key, "v")
	requireFailure(t, response, body, 503, api.RefusalNoOwner) // of the nested request
	require.EqualValues(t, 1, ran.Load(), "the answer is the handler's: the request has run, once")

	f.stations[2].set(both, f.members)
	response, body = f.send(1, "POST", "/"+key, "v")
	require.Equal(t, 200, response.StatusCode)
	require.Equal(t, "nested", body)
	require.EqualValues(t, 3, ran.Load())
	require.Empty(t, response.Header.Get(wire.AnsweredHeader), "the number stays between the routers")
}

// TestAnAddressOfAnotherServer: the address of a member belongs to something else by now.
func TestAnAddressOfAnotherServer(t *testing.T) {
	for _, test := range []struct {
		name, method string
		status, want int
	}{
		{"a success of a stranger is no answer", "POST", 200, 502},
		{"another owner answers what may run twice", "PUT", 204, 200},
		{"a server in front of the router may refuse", "POST", 401, 401},
		{"or send elsewhere", "GET", 307, 307},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFleet(t, nil, func(o *route.Options) {
				o.Policy = func(*http.Request) route.Policy { return route.PrimaryFirst }
			}, "eu/a", "eu/b", "eu/c")
			f.agree(2, 3)
			f.stations[1].put(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(test.status) }))
			response, body := f.send(1, test.method, "/k", "v")
			require.Equal(t, test.want, response.StatusCode, body)
			if test.want == 502 {
				requireFailure(t, response, body, 502, api.RefusalBroken)
				require.Empty(t, f.received(3))
			}
		})
	}
}

// TestAddressesOfAnotherCluster: no request runs in a cluster, a service or a process that
// it was not meant for, whatever addresses are used again.
func TestAddressesOfAnotherCluster(t *testing.T) {
	hasty := func(o *route.Options) { o.Patience = option.None }
	production := newFleet(t, nil, hasty, "eu/a", "eu/b", "eu/c")
	staging := newFleetOf(t, "staging", nil, hasty, "eu/a", "eu/b", "eu/c")
	production.agree(2, 3, 1)
	staging.agree(2, 3, 1)
	random := rand.New(rand.NewPCG(1, 1))
	answered, refused := 0, 0
	for i := range 2000 {
		// Every member of production announces an address of some member of either.
		members := slices.Clone(production.members)
		for n := range members {
			from := []*fleet{production, staging}[random.IntN(2)]
			members[n].Services = from.members[random.IntN(3)].Services
		}
		production.stations[0].set(production.owned(1+random.IntN(3)), members)
		method := []string{"GET", "PUT", "POST"}[random.IntN(3)]
		response, body := production.send(1, method, fmt.Sprintf("/key%d", i), "v")
		switch response.StatusCode {
		case http.StatusOK:
			answered++
		case http.StatusServiceUnavailable:
			refused++
		default:
			require.Fail(t, "unexpected", "%d: %s", response.StatusCode, body)
		}
	}
	require.Positive(t, answered)
	require.Positive(t, refused)
	ran := 0
	for n := range 3 {
		ran += len(production.received(n + 1))
	}
	require.Equal(t, answered, ran, "each request that was answered has run once")
	for n := range 3 {
		require.Empty(t, staging.received(n+1))
	}
}

// TestAStreamLearnsThatItsMemberLostTheKey, at the member that it came to and forwarded.
func TestAStreamLearnsThatItsMemberLostTheKey(t *testing.T) {
	for _, test := range []struct {
		method string
		member int
		after  []int // the owners that end the stream
	}{{"GET", 1, []int{3}}, {"GET", 2, []int{3, 1}}, {"POST", 1, []int{3, 2}}, {"POST", 2, []int{3, 2}}} {
		f := newFleet(t, func(w http.ResponseWriter, r *http.Request) {
			lost := route.Lost(r.Context())
			_ = http.NewResponseController(w).Flush()
			select {
			case <-lost:
				_, _ = io.WriteString(w, "lost")
			case <-r.Context().Done():
			}
		}, nil, "eu/a", "eu/b", "eu/c")
		f.agree(2, 3)
		f.stations[0].set(f.owned(2), f.members)
		r, err := http.NewRequestWithContext(t.Context(), test.method, f.url(test.member, "/k"), nil)
		require.NoError(t, err)
		response, err := f.client.Do(r)
		require.NoError(t, err)
		require.Equal(t, "n2", response.Header.Get("Member"))
		f.believe(2, 2, 1) // it still is the primary
		f.believe(2, test.after...)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, "lost", string(body), "%s %d", test.method, test.member)
	}
	require.Nil(t, route.Lost(t.Context()))
}

// TestTheKeyIsFoundOnce: a key that depends on the connection is another at the second
// member, where the request comes from the first.
func TestTheKeyIsFoundOnce(t *testing.T) {
	var asked atomic.Int64
	f := newFleet(t, nil, func(o *route.Options) {
		o.Key = func(r *http.Request) (string, bool) {
			asked.Add(1)
			return r.RemoteAddr + r.Header.Get("X-Forwarded-For"), true
		}
		o.Policy = func(r *http.Request) route.Policy {
			if r.Header.Get("X-Forwarded-For") == "" {
				return route.PrimaryFirst
			}
			return route.PrimaryOnly
		}
	}, "eu/a", "eu/b", "eu/c")
	both := f.build(1, halves{})
	for _, s := range f.stations {
		s.set(both, f.members)
	}
	for range 40 {
		f.client.CloseIdleConnections() // so that the next comes from another port
		response, body := f.send(1, "POST", "/", "v")
		require.Equal(t, 200, response.StatusCode, body)
	}
	require.EqualValues(t, 40, asked.Load(), "by the first member alone")
	require.NotEmpty(t, f.received(2))
	require.NotEmpty(t, f.received(3))
}
