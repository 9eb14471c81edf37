package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport/api"
)

// answerWithin is how long a member may take to answer Get. It is far longer than an
// answer takes on a busy machine, so a time-out means that the member hangs.
const answerWithin = 20 * time.Second

// Get sends a GET to a member and decodes the answer. Its errors name the member.
func Get(ctx context.Context, p *Process, path string, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.HTTP+path, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("%s does not answer: %w", p.ID, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s to %s", p.ID, response.Status, path)
	}
	if err := json.NewDecoder(response.Body).Decode(answer); err != nil {
		return fmt.Errorf("%s answers %s: %w", p.ID, path, err)
	}
	return nil
}

// Agreed returns the common fingerprint of all members. It returns an error unless they
// know each other and no other member.
func Agreed(ctx context.Context, members ...*Process) (common ring.Fingerprint, err error) {
	for i, p := range members {
		var health api.Health
		if err := Get(ctx, p, "/v1/health", &health); err != nil {
			return 0, err
		}
		switch {
		case health.Members != len(members):
			return 0, fmt.Errorf("%s sees %d members, not %d", p.ID, health.Members, len(members))
		case !health.Agreed:
			return 0, fmt.Errorf("%s has not seen all members agree", p.ID)
		case i > 0 && health.Fingerprint != common:
			return 0, fmt.Errorf("%s and %s disagree: fingerprints %v and %v", members[0].ID, p.ID, common, health.Fingerprint)
		}
		common = health.Fingerprint
	}
	return common, nil
}

// Await waits until a condition holds, that is, returns nil. When the context ends
// first, the error names the condition, the reason, and the last error of the
// condition.
func Await(ctx context.Context, what string, condition func() error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var reason error
	for {
		err := condition()
		if err == nil {
			return nil
		}
		// An error caused by the end of the context says nothing about the member.
		if reason == nil || ctx.Err() == nil {
			reason = err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting until %s: %w: %w", what, context.Cause(ctx), reason)
		}
	}
}
