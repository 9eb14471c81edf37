package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
)

// ErrRingMoved says that the parts of a batch were answered from different rings, at
// each attempt. Send the batch again, or fewer keys at a time.
var ErrRingMoved = errors.New("the ring changed while the batch was looked up in parts")

// wholeBatch is the number of attempts to get all parts of a batch from one ring.
const wholeBatch = 4

// LookupBatch asks which members own each of the keys. A key has 1 to [api.MaxKeyBytes] bytes
// of UTF-8. When there are more keys than the server accepts at once, they are sent in parts,
// one after the other. The whole answer is of one ring, or the error is [ErrRingMoved]. Without
// keys the answer is empty. The index in a problem about a key counts from the start of keys.
func (c *Client) LookupBatch(ctx context.Context, keys []string, near Near) (api.Batch, error) {
	whole, err := lookUp(ctx, c, keys, near.add(url.Values{}), func(p *api.Placement) string { return p.Key })
	return api.Batch(whole), err
}

// LookupBatchIDs is [Client.LookupBatch] with the IDs of the owners alone. Its answer takes about
// half the traffic, for callers that know the members.
func (c *Client) LookupBatchIDs(ctx context.Context, keys []string, near Near) (api.BatchIDs, error) {
	values := near.add(url.Values{})
	values.Set("owners", "ids")
	whole, err := lookUp(ctx, c, keys, values, func(p *api.PlacementIDs) string { return p.Key })
	return api.BatchIDs(whole), err
}

// batch is an [api.Batch] or an [api.BatchIDs], with results of the type R.
type batch[R any] struct {
	Fingerprint ring.Fingerprint `json:"fingerprint"`
	Results     []R              `json:"results"`
	Groups      []api.Group      `json:"groups"`
}

// lookUp asks for the whole batch. The function returns the key of a result.
func lookUp[R any](ctx context.Context, c *Client, keys []string, values url.Values, keyOf func(*R) string) (batch[R], error) {
	// In JSON an invalid byte would become U+FFFD, and the answer would be for another
	// key.
	for i, key := range keys {
		if !utf8.ValidString(key) {
			p := wire.CheckKey(key)
			p.Index = &i
			return batch[R]{}, fmt.Errorf("client: POST /v1/lookup: %w", p)
		}
	}
	ctx, done, err := c.begin(ctx)
	if err != nil {
		return batch[R]{}, err
	}
	defer done()
	for attempt := range wholeBatch {
		whole, torn, err := lookUpParts(ctx, c, keys, values, keyOf)
		if err != nil || !torn {
			return whole, err
		}
		// Members that answer in turn, behind a load balancer, need a moment to agree.
		if attempt < wholeBatch-1 && !sleep(ctx, c.backoff(attempt)) {
			return batch[R]{}, fmt.Errorf("client: POST /v1/lookup: %w", context.Cause(ctx))
		}
	}
	return batch[R]{}, fmt.Errorf("client: POST /v1/lookup: %w", ErrRingMoved)
}

// lookUpParts asks for all parts, and reports whether they come from different rings.
func lookUpParts[R any](ctx context.Context, c *Client, keys []string, values url.Values, keyOf func(*R) string) (whole batch[R], torn bool, err error) {
	for from := 0; from < len(keys) || from == 0; {
		body, n, err := c.encodePart(keys[from:])
		if err != nil {
			return whole, false, err
		}
		part, err := askJSON[batch[R]](ctx, c, query{
			method: http.MethodPost, path: "/v1/lookup", values: values, body: body,
		})
		if p, ok := errors.AsType[*api.Refusal](err); ok {
			if c.learn(p, n, len(body)) {
				continue // again, with smaller parts
			}
			if p.Index != nil {
				*p.Index += from
			}
		}
		if err != nil {
			return whole, false, err
		}
		if len(part.Results) != n {
			return whole, false, fmt.Errorf("client: POST /v1/lookup: %d answers to %d keys", len(part.Results), n)
		}
		for i := range part.Results {
			if keyOf(&part.Results[i]) != keys[from+i] {
				return whole, false, errors.New("client: POST /v1/lookup: the answer is not for the keys that were asked for: is there a cache?")
			}
		}
		if from == 0 {
			whole = part
		} else if part.Fingerprint != whole.Fingerprint {
			return whole, true, nil
		} else {
			appendPart(&whole, part, from)
		}
		if from += n; n == 0 {
			break
		}
	}
	slices.SortFunc(whole.Groups, func(a, b api.Group) int { return strings.Compare(a.Primary, b.Primary) })
	return whole, false, nil
}

// appendPart appends the answer for the keys that begin at an index.
func appendPart[R any](b *batch[R], part batch[R], from int) {
	b.Results = append(b.Results, part.Results...)
	for _, g := range part.Groups {
		for i := range g.Indexes {
			g.Indexes[i] += from
		}
		at := slices.IndexFunc(b.Groups, func(h api.Group) bool { return h.Primary == g.Primary })
		if at < 0 {
			b.Groups = append(b.Groups, g)
			continue
		}
		b.Groups[at].Indexes = append(b.Groups[at].Indexes, g.Indexes...)
	}
}

// encodePart encodes as many of the keys as the server accepts at once, and at least
// one if there are any.
func (c *Client) encodePart(keys []string) (body []byte, n int, err error) {
	maxKeys, maxBytes := int(c.maxKeys.Load()), int(c.maxBytes.Load())
	const begin, end = `{"keys":[`, `]}`
	body = append(body, begin...)
	var one bytes.Buffer
	encoder := json.NewEncoder(&one)
	encoder.SetEscapeHTML(false)
	for n < len(keys) && n < maxKeys {
		one.Reset()
		if err := encoder.Encode(keys[n]); err != nil {
			return nil, 0, fmt.Errorf("client: encoding a key: %w", err)
		}
		key := bytes.TrimSuffix(one.Bytes(), []byte("\n"))
		if n > 0 && len(body)+1+len(key)+len(end) > maxBytes {
			break
		}
		if n > 0 {
			body = append(body, ',')
		}
		body = append(body, key...)
		n++
	}
	return append(body, end...), n, nil
}

// learn stores the bound that a batch has exceeded, and reports whether a smaller part
// can be sent instead.
func (c *Client) learn(p *api.Refusal, keys, bytes int) bool {
	if p.Bound <= 0 || keys < 2 {
		return false
	}
	switch p.Type {
	case wire.TooManyKeys:
		if p.Bound < int64(keys) {
			c.maxKeys.Store(p.Bound)
			return true
		}
	case wire.BodyTooLarge:
		if p.Bound < int64(bytes) {
			c.maxBytes.Store(p.Bound)
			return true
		}
	}
	return false
}
