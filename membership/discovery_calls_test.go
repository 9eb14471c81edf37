package membership

import (
	"context"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// badResolver is a Resolver that calls a function first.
type badResolver struct{ first func() }

func (r badResolver) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	r.first()
	return nil, nil
}

func (r badResolver) LookupSRV(context.Context, string, string, string) (string, []*net.SRV, error) {
	r.first()
	return "", nil, nil
}

// discoveryTrouble returns the message of the trouble with discovery.
func discoveryTrouble(m *Membership) string {
	for _, one := range Drive(m).Troubles() {
		if one.Kind == troubleDiscovery {
			return one.Message
		}
	}
	return ""
}

// A panic in the code of a user, and a call that ends its goroutine, are errors of discovery. They end neither the
// process nor the search.
func TestADiscoveryThatPanics(t *testing.T) {
	for name, first := range map[string]func(){
		"panic: made up": func() { panic("made up") },
		"runtime.Goexit": runtime.Goexit,
	} {
		for at, edit := range map[string]func(o *Options, first func()){
			"Discovery": func(o *Options, first func()) {
				o.Discovery = DiscoveryFunc(func(context.Context) ([]string, error) { first(); return nil, nil })
			},
			"Join": func(o *Options, first func()) {
				o.Discovery = Join(DiscoveryFunc(func(context.Context) ([]string, error) { first(); return nil, nil }), Static(addrOf(1).String()))
			},
			"Resolver": func(o *Options, first func()) {
				o.Discovery, o.Gossip.Resolver = Static("seeds.example", addrOf(1).String()), badResolver{first}
			},
			"SRV": func(o *Options, first func()) {
				o.Discovery = Join(SRV{Name: "seeds.example", Resolver: badResolver{first}}, Static(addrOf(1).String()))
			},
		} {
			t.Run(at+" "+name, func(t *testing.T) {
				inNet(t, func(t *testing.T, n *testNet) {
					one := n.start(1)
					two := n.start(2, func(o *Options) { edit(o, first) })
					n.await("health names the cause", func() bool { return strings.Contains(discoveryTrouble(two), name) })
					if at != "Discovery" {
						n.see(2, one, two)
					}
				})
			})
		}
	}
}

// A Discovery that does not return keeps neither Start nor the search for lost members waiting. Health names it.
func TestADiscoveryThatHangs(t *testing.T) {
	inNet(t, func(t *testing.T, n *testNet) {
		hung := make(chan struct{})
		var hangs atomic.Bool
		var calls atomic.Int32
		discovery := DiscoveryFunc(func(context.Context) ([]string, error) {
			if calls.Add(1); hangs.Load() {
				<-hung
			}
			return []string{addrOf(1).String()}, nil
		})
		one := n.start(1)
		two := n.start(2, func(o *Options) { o.Discovery = discovery })
		n.see(2, one, two)
		hangs.Store(true)
		calls.Store(0)
		n.await("health names the cause", func() bool { return strings.Contains(discoveryTrouble(two), "has not returned") })
		cut := func() {
			require.NoError(t, n.net.Partition([]netip.AddrPort{addrOf(1)}, []netip.AddrPort{addrOf(2)}))
			n.see(1, one, two)
			time.Sleep(10 * time.Minute)
		}
		cut()
		n.net.Heal()
		n.see(2, one, two)
		require.LessOrEqual(t, int(calls.Load()), maxAttempts*maxSearches, "calls that do not return do not pile up")

		three := n.make(3, func(o *Options) { o.Discovery = discovery })
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		begun := time.Now()
		require.NoError(t, three.Start(ctx), "it is alone")
		require.LessOrEqual(t, time.Since(begun), 30*time.Second)
		four := n.make(4, func(o *Options) { o.Discovery = discovery })
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun = time.Now()
		require.ErrorIs(t, four.Start(ctx), context.DeadlineExceeded)
		require.LessOrEqual(t, time.Since(begun), 3*time.Second)

		hangs.Store(false)
		close(hung)
		n.await("the problem is over", func() bool { return discoveryTrouble(two) == "" })
		n.see(3, one, two, three)
	})
}
