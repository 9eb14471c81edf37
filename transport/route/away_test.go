package route_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/transport/route"
)

// away gives all members the same view, in which some are away.
func (f *fleet) away(numbers ...int) {
	for i := range f.members {
		f.members[i].State = membership.Active
	}
	for _, n := range numbers {
		f.members[n-1].State = membership.Away
	}
	f.agree(3, 2, 4)
}

// Requests pass over an owner that is away, with every policy. The next owner answers in its place,
// also where that owner gets the request first.
func TestOwnersThatAreAwayArePassedOver(t *testing.T) {
	policy := route.PrimaryOnly
	f := newFleet(t, nil, func(o *route.Options) {
		o.Policy = func(*http.Request) route.Policy { return policy }
	}, "eu/a", "eu/b", "eu/a", "us/c")
	for policy = range route.PrimaryFirst + 1 {
		f.away(3)
		for asked := 1; asked <= 4; asked++ {
			if asked == 3 {
				continue // no request goes to a member that is away
			}
			response, body := f.send(asked, "PUT", "/k", "v")
			require.Equal(t, 200, response.StatusCode, body)
			want := "n2"
			if policy == route.Nearest && asked == 4 {
				want = "n4"
			}
			require.Equal(t, want, response.Header.Get("Member"), "%v, asked n%d", policy, asked)
		}
		require.Empty(t, f.received(3), "nothing was dialled")

		f.away(3, 2)
		response, _ := f.send(1, "GET", "/k", "")
		require.Equal(t, "n4", response.Header.Get("Member"), "%v", policy)

		f.away(3, 2, 4)
		response, _ = f.send(1, "PUT", "/k", "v")
		require.Equal(t, http.StatusServiceUnavailable, response.StatusCode, "%v", policy)
	}
}
