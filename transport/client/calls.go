package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
)

// Near is the place of the caller. The answer then names the owners in its zone first,
// then those in its region, then the rest. The zero value leaves owners in the order of
// the preference list.
type Near struct{ Region, Zone string }

// add adds Region and Zone to a query, each if it is set.
func (n Near) add(values url.Values) url.Values {
	if n.Region != "" {
		values.Set("region", n.Region)
	}
	if n.Zone != "" {
		values.Set("zone", n.Zone)
	}
	return values
}

// Live returns nil when the member's process answers. It needs no token.
func (c *Client) Live(ctx context.Context) error {
	_, err := c.do(ctx, query{method: http.MethodGet, path: "/livez", kind: "text/plain"})
	return err
}

// Ready asks whether requests should be sent to the member, and if not, why. An unready
// member is an answer and no error. Ready needs no token. Only Ready, Healthy and
// Problems of the answer are set. Problems also has those that leave the member ready.
// For the problems that make it unready, only [Client.Health] says whether they are
// critical.
func (c *Client) Ready(ctx context.Context) (api.Health, error) {
	answer, err := c.do(ctx, query{
		method: http.MethodGet, path: "/readyz", values: url.Values{"verbose": {""}}, kind: "text/plain",
		unready: func(a reply) bool { return a.says("not ready") },
	})
	if err != nil {
		return api.Health{}, err
	}
	_, rest, _ := strings.Cut(string(answer.body), "\n")
	ready := api.Health{Ready: answer.status == http.StatusOK}
	if ready.Ready && !answer.says("ready") {
		return api.Health{}, errors.New("client: GET /readyz: the answer is not of the expected form: is it a member that answers?")
	}
	for line := range strings.Lines(rest) {
		mark, line, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		code, message, _ := strings.Cut(line, ": ")
		ready.Problems = append(ready.Problems, api.Problem{Code: code, Message: message, Unready: mark == "unready", Critical: mark == "critical"})
	}
	ready.Healthy = len(ready.Problems) == 0
	return ready, nil
}

// says reports whether a reply is a text with this first line.
func (a reply) says(line string) bool {
	first, _, _ := strings.Cut(string(a.body), "\n")
	return a.contentType == "text/plain" && first == line
}

// Health asks for the health of the member. An unready member is an answer and no
// error.
func (c *Client) Health(ctx context.Context) (api.Health, error) {
	return askJSON[api.Health](ctx, c, query{method: http.MethodGet, path: "/v1/health", unready: func(a reply) bool { return a.contentType == wire.JSON }})
}

// Members asks for the members that the member believes alive.
func (c *Client) Members(ctx context.Context) (api.Members, error) {
	return askJSON[api.Members](ctx, c, query{method: http.MethodGet, path: "/v1/members"})
}

// Ring asks for the description of the ring, in numbers.
func (c *Client) Ring(ctx context.Context) (api.Ring, error) {
	return askJSON[api.Ring](ctx, c, query{method: http.MethodGet, path: "/v1/ring"})
}

// Partition asks which members own a partition, from 0.
func (c *Client) Partition(ctx context.Context, partition int, near Near) (api.Placement, error) {
	p, err := askJSON[api.Placement](ctx, c, query{
		method: http.MethodGet, path: "/v1/partitions/" + strconv.Itoa(partition), values: near.add(url.Values{}),
	})
	if err == nil && p.Partition != partition {
		return api.Placement{}, fmt.Errorf("client: GET /v1/partitions/%d: the answer is not for the partition that was asked for: is there a cache?", partition)
	}
	return p, err
}

// Lookup asks which members own a key of 1 to [api.MaxKeyBytes] bytes of UTF-8.
func (c *Client) Lookup(ctx context.Context, key string, near Near) (api.Placement, error) {
	p, err := askJSON[api.Placement](ctx, c, query{
		method: http.MethodGet, path: "/v1/lookup", values: near.add(url.Values{"key": {key}}),
	})
	if err == nil && p.Key != key {
		return api.Placement{}, errors.New("client: GET /v1/lookup: the answer is not for the key that was asked for: is there a cache?")
	}
	return p, err
}

// Plan asks which slots a change would move. The server limits the number of moves that
// it lists.
func (c *Client) Plan(ctx context.Context, change rebalance.Change) (api.Plan, error) {
	return c.plan(ctx, change, "true")
}

// PlanSummary is [Client.Plan] without the list of moves: the answer has only counts.
func (c *Client) PlanSummary(ctx context.Context, change rebalance.Change) (api.Plan, error) {
	return c.plan(ctx, change, "false")
}

func (c *Client) plan(ctx context.Context, change rebalance.Change, moves string) (api.Plan, error) {
	body, err := json.Marshal(change)
	if err != nil {
		return api.Plan{}, fmt.Errorf("client: encoding the change: %w", err)
	}
	return askJSON[api.Plan](ctx, c, query{
		method: http.MethodPost, path: "/v1/plan", values: url.Values{"moves": {moves}}, body: body,
	})
}

// OpenAPI asks for the description of the interface, an OpenAPI 3.1 document in
// JSON.
func (c *Client) OpenAPI(ctx context.Context) (json.RawMessage, error) {
	return askJSON[json.RawMessage](ctx, c, query{method: http.MethodGet, path: "/v1/openapi.json"})
}
