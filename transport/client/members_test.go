package client_test

import (
	"context"
	"crypto/x509"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/client"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
)

// fleet serves handlers, and returns their URLs and the number of requests to each.
func fleet(t *testing.T, handlers ...http.Handler) (urls []string, asked []*atomic.Int64) {
	t.Helper()
	for _, h := range handlers {
		count := new(atomic.Int64)
		srv, _ := testkit.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			count.Add(1)
			h.ServeHTTP(w, r)
		}), transport.ServerOptions{})
		urls, asked = append(urls, "http://"+srv.Addr().String()), append(asked, count)
	}
	return urls, asked
}

func refusing(status int, retryAfter string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", retryAfter)
		w.WriteHeader(status)
	})
}

// TestAClientLeavesAMemberThatIsSilent: a request to a machine that has vanished takes as long as the context of
// its caller. The next request must begin with another member, or no request would ever be answered.
func TestAClientLeavesAMemberThatIsSilent(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(context.Context) (context.Context, context.CancelFunc)
	}{
		{"deadline", func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 50*time.Millisecond)
		}},
		{"cancelled", func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			timer := time.AfterFunc(50*time.Millisecond, cancel)
			return ctx, func() { timer.Stop(); cancel() }
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			silent := testkit.NewGate()
			urls, asked := fleet(t, silent, testkit.NewHandler(testkit.NewCluster(t)))
			c := testkit.NewClient(t, client.Options{URLs: urls})
			ctx, cancel := test.end(t.Context())
			defer cancel()
			_, err := c.Ring(ctx)
			require.ErrorIs(t, err, ctx.Err())
			for range 3 {
				_, err := c.Ring(t.Context())
				require.NoError(t, err)
			}
			require.EqualValues(t, 1, asked[0].Load())
		})
	}
}

// TestARequestThatHasEndedIsNotSent, so it says nothing of any member.
func TestARequestThatHasEndedIsNotSent(t *testing.T) {
	urls, asked := fleet(t, testkit.NewHandler(testkit.NewCluster(t)), testkit.NewHandler(testkit.NewCluster(t)))
	c := testkit.NewClient(t, client.Options{URLs: urls})
	_, err := c.Ring(ended())
	require.ErrorIs(t, err, context.Canceled)
	_, err = c.Ring(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, asked[0].Load())
}

// TestAWaitIsThatOfOneMember: a member that asks for a wait does not speak for the others.
func TestAWaitIsThatOfOneMember(t *testing.T) {
	for _, after := range []string{"1", "20", "3600", ""} {
		t.Run("after "+after, func(t *testing.T) {
			for _, status := range []int{408, 429, 502, 503, 504} {
				urls, asked := fleet(t, refusing(status, after), refusing(status, after), testkit.NewHandler(testkit.NewCluster(t)))
				c := testkit.NewClient(t, client.Options{URLs: urls})
				ctx, cancel := context.WithTimeout(t.Context(), 900*time.Millisecond)
				_, err := c.Ring(ctx)
				cancel()
				require.NoError(t, err, status)
				_, err = c.Ring(t.Context())
				require.NoError(t, err)
				require.EqualValues(t, 1, asked[0].Load())
				require.EqualValues(t, 2, asked[2].Load())
			}
		})
	}
}

// TestAClientWaitsForTheMemberThatItAsksAgain, as long as that member has named.
func TestAClientWaitsForTheMemberThatItAsksAgain(t *testing.T) {
	begun := time.Now()
	var times [2]atomic.Int64
	handlers := make([]http.Handler, 2)
	for i := range handlers {
		handlers[i] = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			times[i].Store(int64(time.Since(begun)))
			w.Header().Set("Retry-After", strconv.Itoa(2-i)) // 2 s and 1 s
			w.WriteHeader(http.StatusServiceUnavailable)
		})
	}
	urls, asked := fleet(t, handlers...)
	_, err := testkit.NewClient(t, client.Options{URLs: urls, Retries: 2}).Ring(t.Context())
	var p *api.Refusal
	require.ErrorAs(t, err, &p)
	require.EqualValues(t, 2, asked[0].Load())
	require.EqualValues(t, 1, asked[1].Load())
	require.GreaterOrEqual(t, times[0].Load(), int64(2*time.Second))
}

// TestAMemberWithAWrongCertificate does not keep a client from the others. Alone it is not asked again.
func TestAMemberWithAWrongCertificate(t *testing.T) {
	ca := testkit.NewAuthority(t, "authority")
	expired := ca.Issue("expired", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	h := testkit.NewHandler(testkit.NewCluster(t))
	one, _ := testkit.Serve(t, h, transport.ServerOptions{TLS: expired})
	two, _ := testkit.Serve(t, h, transport.ServerOptions{TLS: ca.Issue("good")})
	trust := client.PoolOptions{TLS: client.TLSOptions{RootCAFile: ca.File}}
	c := testkit.NewClient(t, client.Options{URLs: []string{"https://" + one.Addr().String(), "https://" + two.Addr().String()}, PoolOptions: trust})
	_, err := c.Ring(t.Context())
	require.NoError(t, err)

	alone := testkit.NewClient(t, client.Options{URLs: []string{"https://" + one.Addr().String()}, PoolOptions: trust, MinBackoff: time.Hour, MaxBackoff: time.Hour})
	_, err = alone.Ring(t.Context())
	require.ErrorContains(t, err, "certificate has expired")
}

// TestAProxyWithoutMembersIsNoAnswer: the 503 of a proxy says nothing of the health of a member.
func TestAProxyWithoutMembersIsNoAnswer(t *testing.T) {
	for _, kind := range []string{"text/plain", "text/html", ""} {
		proxy := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte("upstream connect error"))
		})
		urls, asked := fleet(t, proxy, testkit.NewHandler(testkit.NewCluster(t)))
		for _, ask := range []func(*client.Client) (api.Health, error){
			func(c *client.Client) (api.Health, error) { return c.Ready(t.Context()) },
			func(c *client.Client) (api.Health, error) { return c.Health(t.Context()) },
		} {
			h, err := ask(testkit.NewClient(t, client.Options{URLs: urls}))
			require.NoError(t, err)
			require.True(t, h.Ready)
			asked[0].Store(0)
			_, err = ask(testkit.NewClient(t, client.Options{URLs: urls[:1], Retries: 2}))
			var p *api.Refusal
			require.ErrorAs(t, err, &p)
			require.Equal(t, 503, p.Status)
			require.EqualValues(t, 3, asked[0].Load())
		}
	}
}

// TestRetryAfterIsByTheClockOfTheServer, which also says in Date what time it is.
func TestRetryAfterIsByTheClockOfTheServer(t *testing.T) {
	var asked atomic.Int64
	h := testkit.NewHandler(testkit.NewCluster(t))
	for _, skew := range []time.Duration{-24 * time.Hour, 24 * time.Hour} {
		asked.Store(0)
		c := clientOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if asked.Add(1) > 1 {
				h.ServeHTTP(w, r)
				return
			}
			now := time.Now().Add(skew).UTC()
			w.Header().Set("Date", now.Format(http.TimeFormat))
			w.Header().Set("Retry-After", now.Add(time.Second).Format(http.TimeFormat))
			w.WriteHeader(http.StatusServiceUnavailable)
		}), client.Options{})
		begun := time.Now()
		_, err := c.Ring(t.Context())
		require.NoError(t, err)
		require.GreaterOrEqual(t, time.Since(begun), time.Second)
	}
}

// TestAnErrorNamesTheFailureBefore: the end of the context is not the reason why the first member did not answer.
func TestAnErrorNamesTheFailureBefore(t *testing.T) {
	urls, _ := fleet(t, refusing(503, ""), testkit.NewGate())
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := testkit.NewClient(t, client.Options{URLs: urls}).Ring(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "status 503")
	require.NotErrorAs(t, err, new(*api.Refusal))
}

// TestAMirrorIsConfirmedByTheNextMember at once, and not only when a member has waited for a change.
func TestAMirrorIsConfirmedByTheNextMember(t *testing.T) {
	c := testkit.NewCluster(t)
	one, _ := testkit.Serve(t, testkit.NewHandler(testkit.NewLive(c)), transport.ServerOptions{})
	two, _ := testkit.Serve(t, testkit.NewHandler(testkit.NewLive(c)), transport.ServerOptions{})
	m := testkit.NewClient(t, client.Options{URLs: []string{"http://" + one.Addr().String(), "http://" + two.Addr().String()}}).Mirror()
	require.NoError(t, m.Wait(t.Context()))
	first := m.State().Confirmed
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_ = one.Shutdown(ended) // closes all connections
	require.Eventually(t, func() bool { s := m.State(); return s.Err == nil && s.Confirmed.After(first) }, testkit.Soon, time.Millisecond)
}

// TestAMirrorBeginsWithoutAWait, so a first member that is silent delays it no longer than any request.
func TestAMirrorBeginsWithoutAWait(t *testing.T) {
	urls, _ := fleet(t, testkit.NewGate(), testkit.NewHandler(testkit.NewCluster(t)))
	m := testkit.NewClient(t, client.Options{URLs: urls, Timeout: 200 * time.Millisecond}).Mirror()
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Soon)
	defer cancel()
	require.NoError(t, m.Wait(ctx))
}

// TestAMirrorStaysWithItsCluster: another cluster may get the addresses of the members.
func TestAMirrorStaysWithItsCluster(t *testing.T) {
	live := testkit.NewLive(testkit.NewCluster(t))
	srv, _ := testkit.Serve(t, testkit.NewHandler(live), transport.ServerOptions{})
	m := testkit.NewClient(t, client.Options{URLs: []string{"http://" + srv.Addr().String()}}).Mirror()
	require.NoError(t, m.Wait(t.Context()))
	before := m.State().Fingerprint
	other := testkit.NewCluster(t).Moving(t)
	other.Shown.ClusterName = "carts"
	live.Change(func(c *testkit.Cluster) { *c = *other })
	require.Eventually(t, func() bool { return m.State().Err != nil }, testkit.Soon, time.Millisecond)
	require.ErrorContains(t, m.State().Err, `the table is that of the cluster "carts", and the copy that of "orders"`)
	require.Equal(t, before, m.State().Fingerprint)
	ours := testkit.NewCluster(t).Moving(t)
	live.Change(func(c *testkit.Cluster) { *c = *ours })
	require.Eventually(t, func() bool { return m.State().Fingerprint == ours.Shown.Fingerprint }, testkit.Soon, time.Millisecond)
}

// TestAMirrorDoesNotSpin where it gets a table at once, again and again: a proxy removes the tag of its table, or
// members that differ answer in turn.
func TestAMirrorDoesNotSpin(t *testing.T) {
	one, other := testkit.NewHandler(testkit.NewLive(testkit.NewCluster(t))), testkit.NewHandler(testkit.NewLive(testkit.NewCluster(t).Moving(t)))
	for name, h := range map[string]http.Handler{
		"no tag": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { r.Header.Del("If-None-Match"); one.ServeHTTP(w, r) }),
		"in turn": func() http.HandlerFunc {
			var turn atomic.Int64
			return func(w http.ResponseWriter, r *http.Request) {
				[]http.Handler{one, other}[turn.Add(1)%2].ServeHTTP(w, r)
			}
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			urls, asked := fleet(t, h)
			begun := time.Now()
			m := testkit.NewClient(t, client.Options{URLs: urls, MinBackoff: 800 * time.Millisecond, MaxBackoff: 800 * time.Millisecond}).Mirror()
			require.NoError(t, m.Wait(t.Context()))
			changed := m.Changed()
			require.Eventually(t, func() bool { return asked[0].Load() >= 13 }, testkit.Soon, time.Millisecond)
			require.GreaterOrEqual(t, time.Since(begun), 300*time.Millisecond)
			if name == "no tag" {
				select {
				case <-changed:
					require.FailNow(t, "the same table is no change")
				default:
				}
			}
		})
	}
}

// TestAnActionThatIsNotDoneAtOnce: a member that stops answers each request at once.
func TestAnActionThatIsNotDoneAtOnce(t *testing.T) {
	var asked atomic.Int64
	c := clientOf(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"action":"drain","nodeID":"n1","done":` + strconv.FormatBool(asked.Add(1) > 3) + `}`))
	}), client.Options{MinBackoff: 200 * time.Millisecond, MaxBackoff: 200 * time.Millisecond})
	begun := time.Now()
	result, err := c.Drain(t.Context(), "n1")
	require.NoError(t, err)
	require.True(t, result.Done)
	require.GreaterOrEqual(t, time.Since(begun), 300*time.Millisecond)
}

// TestTheWaitOfAnActionEnds with its context and with its client.
func TestTheWaitOfAnActionEnds(t *testing.T) {
	for want, end := range map[error]func(c *client.Client, cancel func()){
		context.Canceled: func(_ *client.Client, cancel func()) { cancel() },
		client.ErrClosed: func(c *client.Client, _ func()) { _ = c.Close() },
	} {
		asked := make(chan struct{}, 10)
		c := clientOf(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"action":"drain","nodeID":"n1","changed":true,"done":false}`))
			asked <- struct{}{}
		}), client.Options{MinBackoff: time.Hour, MaxBackoff: time.Hour})
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-asked
			end(c, cancel)
		}()
		result, err := c.Drain(ctx, "n1")
		cancel()
		require.ErrorIs(t, err, want)
		require.False(t, result.Done)
		require.Empty(t, asked)
	}
}

// TestABatchWaitsForMembersToAgree: behind a load balancer the parts of a batch go to members that differ for a while.
func TestABatchWaitsForMembersToAgree(t *testing.T) {
	var turn atomic.Int64
	begun := time.Now()
	one, other := testkit.NewHandler(testkit.NewCluster(t)), testkit.NewHandler(testkit.NewCluster(t).Moving(t))
	c := clientOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if turn.Add(1)%2 == 0 && time.Since(begun) < 300*time.Millisecond {
			one.ServeHTTP(w, r)
			return
		}
		other.ServeHTTP(w, r)
	}), client.Options{MaxKeys: 1, MinBackoff: 400 * time.Millisecond, MaxBackoff: 2 * time.Second})
	_, err := c.LookupBatch(t.Context(), []string{"a", "b"}, client.Near{})
	require.NoError(t, err)
}

// TestAStrangerAtAnAddressOfAMember, or a member that does not know the token, does not keep a client from the others.
func TestAStrangerAtAnAddressOfAMember(t *testing.T) {
	other := testkit.NewGuard(t, transport.GuardOptions{Tokens: []transport.Credential{{Token: testkit.Token("another-0123456789abcdef")}}})
	for name, first := range map[string]http.Handler{
		"not found": http.NotFoundHandler(),
		"a page":    http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<!DOCTYPE html><p>Welcome")) }),
		"a login":   http.RedirectHandler("/login", http.StatusFound),
		"tokens":    other.Wrap(testkit.NewHandler(testkit.NewCluster(t))),
	} {
		t.Run(name, func(t *testing.T) {
			urls, asked := fleet(t, first, testkit.NewHandler(testkit.NewCluster(t)))
			for what, ask := range map[string]func(c *client.Client) error{
				"ring": func(c *client.Client) error { _, err := c.Ring(t.Context()); return err },
				"batch": func(c *client.Client) error {
					_, err := c.LookupBatch(t.Context(), []string{"k"}, client.Near{})
					return err
				},
				"health": func(c *client.Client) error { _, err := c.Health(t.Context()); return err },
				"ready":  func(c *client.Client) error { _, err := c.Ready(t.Context()); return err },
				"live":   func(c *client.Client) error { return c.Live(t.Context()) },
			} {
				if name == "tokens" && (what == "ready" || what == "live") {
					continue // they need no token
				}
				asked[0].Store(0)
				c := testkit.NewClient(t, client.Options{URLs: urls, PoolOptions: client.PoolOptions{Token: testkit.Token(testkit.ReadToken)}})
				for range 2 {
					require.NoError(t, ask(c), what)
				}
				require.EqualValues(t, 1, asked[0].Load(), what)
			}
		})
	}
}
