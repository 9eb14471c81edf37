package route

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"strconv"
	"strings"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/tally"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
)

// mark is the value of [wire.ForwardedHeader], which a router adds to a request that it
// forwards. The receiver decides by the mark, and does not call Key and Policy of
// [Options], because these functions may see another remote address there.
type mark struct {
	cluster, service string
	from             string           // the member that forwards the request
	to               string           // the member that the request is meant for,
	start            membership.Start // and the start of that member
	partition        int
	policy           Policy
	form             form
	token            ring.Token // the token of the sender
	// Only the sender of this attempt knows number. The receiver returns it with its
	// answer. So the answer of another router, or of a server that is no router, is not
	// taken for an answer of the receiver.
	number string
}

// The mark is a list of fields with a space between two of them. The first is the
// version of the list. No name in it can contain a space.
const (
	markVersion = "1"
	markFields  = 12
	longestMark = 1024
)

func (m *mark) String() string {
	var room [256]byte // usually large enough
	return string(m.appendTo(room[:0]))
}

// write returns the text of the mark with a new number that no other process can guess.
func (m *mark) write() string {
	var number [numberDigits]byte
	m.number = string(appendHexadecimal(number[:0], wire.NewNumber()))
	text := m.String()
	m.number = text[len(text)-numberDigits:] // the copy of the number above needs no memory
	return text
}

func (m *mark) appendTo(b []byte) []byte {
	b = append(b, markVersion...)
	for _, name := range [...]string{m.cluster, m.service, m.from, m.to} {
		b = append(append(b, ' '), name...)
	}
	b = strconv.AppendUint(append(b, ' '), m.start.Number, 16)
	b = strconv.AppendUint(append(b, ' '), m.start.Nonce, 16)
	b = strconv.AppendUint(append(b, ' '), uint64(max(m.partition, 0)), 10)
	b = strconv.AppendUint(append(b, ' '), uint64(m.policy), 10)
	b = strconv.AppendUint(append(b, ' '), uint64(m.form), 16)
	b = appendHexadecimal(append(b, ' '), uint64(m.token))
	return append(append(b, ' '), m.number...)
}

var errMark = errors.New("route: the mark of a forwarded request cannot be read")

// parseMark reads the mark of a request. Any client can send such a header.
func parseMark(values []string) (m mark, err error) {
	if len(values) != 1 || len(values[0]) > longestMark {
		return mark{}, errMark
	}
	var f [markFields]string
	rest, more := values[0], true
	for i := range f {
		if !more {
			return mark{}, errMark
		}
		f[i], rest, more = strings.Cut(rest, " ")
	}
	if more || f[0] != markVersion || !isNumber(f[11]) {
		return mark{}, errMark
	}
	m = mark{cluster: f[1], service: f[2], from: f[3], to: f[4], number: f[11]}
	bad := false
	field := func(i, base, bits int) uint64 {
		n, err := strconv.ParseUint(f[i], base, bits)
		bad = bad || err != nil
		return n
	}
	m.start.Number, m.start.Nonce = field(5, 16, 64), field(6, 16, 64)
	m.partition, m.policy, m.form = int(field(7, 10, 31)), Policy(field(8, 10, 8)), form(field(9, 16, 8)) //nolint:gosec // of 31 bits
	m.token = ring.Token(field(10, 16, 64))
	var room [256]byte // a longer mark needs an allocation
	if bad || m.policy > PrimaryFirst || m.form > forms || string(m.appendTo(room[:0])) != values[0] {
		return mark{}, errMark // a mark has one form
	}
	return m, nil
}

const numberDigits = 16

// appendHexadecimal appends a number in 16 digits.
func appendHexadecimal(b []byte, n uint64) []byte {
	const digits = "0123456789abcdef"
	for shift := 4 * (numberDigits - 1); shift >= 0; shift -= 4 {
		b = append(b, digits[n>>shift&15])
	}
	return b
}

func hexadecimal(n uint64) string {
	var room [numberDigits]byte
	return string(appendHexadecimal(room[:0], n))
}

func isNumber(s string) bool {
	return len(s) == numberDigits && strings.Trim(s, "0123456789abcdef") == ""
}

// receive answers a request that a router has forwarded, or refuses it. It never
// forwards the request again.
func (rt *Router) receive(w http.ResponseWriter, r *http.Request, values []string) {
	m, err := parseMark(values)
	if err != nil {
		rt.refuse(w, r, ring.Placement{}, "", "the mark of the router that forwarded it cannot be read: members of different releases, or no router sent it")
		return
	}
	if next, ok := rt.handler.(*Router); ok && (m.cluster != rt.clusterName || m.service != rt.options.Service) {
		next.ServeHTTP(w, r) // the sender is the router that stands behind this one at another member
		return
	}
	view := rt.cluster.View()
	if why := rt.misdirected(view, &m); why != "" {
		rt.refuse(w, r, ring.Placement{}, m.number, why)
		return
	}
	placement := view.Ring.Placement(m.partition)
	if !view.MayAnswer(placement, m.policy, true) {
		rt.refuse(w, r, placement, m.number, "by the view of this member the key is another's to answer, and a forwarded request is not forwarded again: the token of the sender is "+hexadecimal(uint64(m.token)))
		return
	}
	rt.serve(w, r, placement, &m)
}

// misdirected returns why a request was not meant for this process, and nothing if it
// was. The address may have belonged to a member of another cluster before, or to an
// earlier process.
func (e *engine) misdirected(view View, m *mark) string {
	self := view.Member(e.node)
	switch {
	case m.cluster != e.clusterName:
		return "the request is for the cluster " + strconv.Quote(m.cluster) + ", and this is a member of " + strconv.Quote(e.clusterName)
	case m.service != e.options.Service:
		return "the request is for the service " + strconv.Quote(m.service) + ", and this is the service " + strconv.Quote(e.options.Service)
	case m.to != e.node:
		return "the request is for the member " + strconv.Quote(m.to) + ", and this is " + strconv.Quote(e.node)
	case self == nil || m.start != self.Start:
		return "the request is for another start of this member"
	default:
		return ""
	}
}

// refuse answers another router that the request came to the wrong member and has not
// run. Without a number the sender would take it for an answer of the handler.
func (rt *Router) refuse(w http.ResponseWriter, r *http.Request, p ring.Placement, number, why string) {
	rt.counts.attempts.Add(tally.Refused, tally.Local)
	h := w.Header()
	if number != "" {
		h.Set(wire.RefusedHeader, number)
	}
	if p.Len() > 0 {
		h[api.TokenHeader] = []string{textOf(p)}
	}
	wire.Refuse(w, r, wire.New(wire.Misdirected, http.StatusMisdirectedRequest, "%s", why))
}

// reading says which process has written an answer.
type reading uint8

const (
	isAnswer  reading = iota // the answer of the handler of the intended member, or of a server in front of it
	isRefusal                // the refusal of the router of the intended member
	isForeign                // the answer of another server: the request may have run there
)

// read finds which process has written an answer. Only a router returns the number of
// an attempt. A success without the number is foreign: the address belongs to another
// server now. Other answers may come from a server or a middleware in front of the
// router. The handler itself may write the answer to an upgrade, without the headers of
// the router.
func read(response *http.Response, number string, upgrade bool) reading {
	switch {
	case response.StatusCode == http.StatusMisdirectedRequest && one(response.Header[wire.RefusedHeader], number):
		return isRefusal
	case one(response.Header[wire.AnsweredHeader], number):
		delete(response.Header, wire.AnsweredHeader)
		return isAnswer
	case response.StatusCode/100 == 2 && !upgrade:
		return isForeign
	default:
		return isAnswer
	}
}

func one(values []string, want string) bool { return len(values) == 1 && values[0] == want }

// arrival is the context of a request that the handler gets. It holds the memory for what
// the router adds to the answer too.
type arrival struct {
	context.Context
	engine    *engine
	placement ring.Placement
	policy    Policy
	from      string
	token     [1]string
	answering answering
}

type arrivalKey struct{}

func (a *arrival) Value(key any) any {
	if key == (arrivalKey{}) {
		return a
	}
	return a.Context.Value(key)
}

// Routed returns the data of the [Router] in front of a handler about a request, from
// the context of the request: the placement of its key, in the view by which the router
// decided, and the ID of the member that forwarded the request. The ID is empty if the
// request came to this member first. The result ok is false for a request without a
// key, and for a context that no router has made.
//
// A handler that needs the ring token takes it from the placement, and need not compute
// the key of the request again.
func Routed(ctx context.Context) (p ring.Placement, from string, ok bool) {
	a, ok := ctx.Value(arrivalKey{}).(*arrival)
	if !ok {
		return ring.Placement{}, "", false
	}
	return a.placement, a.from, true
}

// Lost returns a channel that is closed when this member should not answer the request
// any more: it does not own the partition of the key any more, or it is not the primary
// any more and only the primary may answer. A handler that keeps a connection for long,
// such as a WebSocket or an event stream, should watch the channel, and then make its
// caller connect again. The channel is nil for a context for which [Routed] returns
// false. Each call starts a goroutine, which ends with the request.
func Lost(ctx context.Context) <-chan struct{} {
	a, ok := ctx.Value(arrivalKey{}).(*arrival)
	if !ok {
		return nil
	}
	lost := make(chan struct{})
	go a.watch(lost)
	return lost
}

func (a *arrival) watch(lost chan<- struct{}) {
	for {
		changed, view := a.engine.cluster.Changed(), a.engine.cluster.View()
		if !view.MayAnswer(view.Ring.Placement(a.placement.Partition()), a.policy, a.from != "") {
			close(lost)
			return
		}
		select {
		case <-changed:
		case <-a.Done():
			return
		}
	}
}

// ownHeaders are the headers that routers add to requests. The handler does not get
// them, because it may copy the headers of its request into a request of its own.
var ownHeaders = []string{wire.ForwardedHeader, api.TokenHeader, api.TimeoutHeader, wire.AnsweredHeader, wire.RefusedHeader}

// strip removes the headers of routers from a request that is to be forwarded.
func strip(h http.Header) {
	for _, name := range ownHeaders {
		delete(h, name)
	}
}

// handed returns the request that the handler gets: a copy, so that the caller's request
// stays as it is.
func handed(ctx context.Context, r *http.Request) *http.Request {
	var strip [8]string
	found := strip[:0]
	for _, name := range ownHeaders {
		if _, ok := r.Header[name]; ok {
			found = append(found, name)
		}
	}
	if ctx != r.Context() || len(found) > 0 {
		r = r.WithContext(ctx)
	}
	if len(found) > 0 {
		r.Header = maps.Clone(r.Header) // a handler replaces values, and does not change them
		for _, name := range found {
			delete(r.Header, name)
		}
	}
	return r
}
