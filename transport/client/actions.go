package client

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/clusterkit/clusterkit/transport/api"
)

// actionWait is how long a member may take for one request for an action.
const actionWait = 30 * time.Second

// Drain takes a member out of service, and waits until it has handed over what it owns, or
// the context ends. The member, named by its NodeID, is the one at the client's URL; any
// other member refuses. Drain needs a token of the scope write, or a client certificate. It
// may be called again, as all actions may, and then waits further.
func (c *Client) Drain(ctx context.Context, member string) (api.ActionResult, error) {
	return c.act(ctx, "/v1/drain", map[string]any{"member": member})
}

// Resume takes a member back into service. It needs what [Client.Drain] needs.
func (c *Client) Resume(ctx context.Context, member string) (api.ActionResult, error) {
	return c.act(ctx, "/v1/resume", map[string]any{"member": member})
}

// Forget says that a lost member is gone for good. Any member may be asked: the others learn
// of it within about a minute. Changed of the result is false if the member that answers does
// not count the other one as lost. Forget needs the credentials that [Client.Drain] needs.
func (c *Client) Forget(ctx context.Context, id string) (api.ActionResult, error) {
	return c.act(ctx, "/v1/forget", map[string]any{"id": id})
}

// AcceptLoss makes a member go on with the data that is left of a partition, from 0, that it
// lists as lost. Only a person should decide this. Changed of the result is false if the
// member does not list the partition. AcceptLoss needs what [Client.Drain] needs.
func (c *Client) AcceptLoss(ctx context.Context, member string, partition int) (api.ActionResult, error) {
	return c.act(ctx, "/v1/accept-loss", map[string]any{"member": member, "partition": partition})
}

// InstallKey makes a member able to read gossip that is encrypted with a key of 16, 24 or 32
// bytes. It needs what [Client.Drain] needs. No error shows the key.
func (c *Client) InstallKey(ctx context.Context, member string, key []byte) (api.ActionResult, error) {
	return c.changeKey(ctx, "install", member, key)
}

// UseKey makes a member encrypt gossip with a key that is installed. Every member must have
// installed it before. UseKey needs what [Client.Drain] needs.
func (c *Client) UseKey(ctx context.Context, member string, key []byte) (api.ActionResult, error) {
	return c.changeKey(ctx, "use", member, key)
}

// RemoveKey makes a member forget a key that is not in use. Every member must use another
// one before. RemoveKey needs what [Client.Drain] needs.
func (c *Client) RemoveKey(ctx context.Context, member string, key []byte) (api.ActionResult, error) {
	return c.changeKey(ctx, "remove", member, key)
}

func (c *Client) changeKey(ctx context.Context, step, member string, key []byte) (api.ActionResult, error) {
	return c.act(ctx, "/v1/keys/"+step, map[string]any{"member": member, "key": hex.EncodeToString(key)})
}

// act sends an action, again and again until it is done.
func (c *Client) act(ctx context.Context, path string, request map[string]any) (api.ActionResult, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return api.ActionResult{}, fmt.Errorf("client: encoding the request: %w", err)
	}
	ctx, done, err := c.begin(ctx)
	if err != nil {
		return api.ActionResult{}, err
	}
	defer done()
	for early, changed := 0, false; ; {
		begun := time.Now()
		result, err := askJSON[api.ActionResult](ctx, c, query{method: http.MethodPost, path: path, body: body, longer: actionWait})
		changed = changed || result.Changed
		result.Changed = changed
		if err != nil || result.Done {
			return result, err
		}
		if time.Since(begun) < actionWait/2 { // the member is about to stop
			if !sleep(ctx, c.backoff(early)) {
				return result, fmt.Errorf("client: POST %s: the member has not done it yet: %w", path, context.Cause(ctx))
			}
			early++
		}
	}
}
