package route_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/transport/route"
)

// transportFunc is a round tripper.
type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestOneContinue: a caller that expects 100 Continue gets it once, whether the transport passes it on before
// it reads the body or after it has begun to. http.Transport does either.
func TestOneContinue(t *testing.T) {
	for _, late := range []bool{false, true} {
		t.Run(fmt.Sprintf("late=%v", late), func(t *testing.T) {
			p := newFleet(t, nil, func(o *route.Options) {
				o.Transport = transportFunc(func(r *http.Request) (*http.Response, error) {
					trace := httptrace.ContextClientTrace(r.Context())
					if !late {
						require.NoError(t, trace.Got1xxResponse(http.StatusContinue, nil))
					}
					body, err := io.ReadAll(r.Body)
					require.NoError(t, err)
					require.Equal(t, "body", string(body))
					if late {
						require.NoError(t, trace.Got1xxResponse(http.StatusContinue, nil))
					}
					return &http.Response{StatusCode: http.StatusTeapot, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Body: http.NoBody}, nil
				})
			}, "eu/a", "eu/b")
			p.agree(2)
			x := &exchange{t: t, addr: p.stations[0].server.Listener.Addr().String()}
			conn := x.dial()
			defer func() { _ = conn.Close() }()
			_, err := io.WriteString(conn, "POST /k HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nbody")
			require.NoError(t, err)
			reader := bufio.NewReader(conn)
			for _, want := range []int{http.StatusContinue, http.StatusTeapot} {
				response, err := http.ReadResponse(reader, nil)
				require.NoError(t, err)
				require.NoError(t, response.Body.Close())
				require.Equal(t, want, response.StatusCode)
			}
		})
	}
}
