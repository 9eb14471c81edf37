package client

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
)

// query is one question to the members. It may take several attempts.
type query struct {
	method, path string // the path is escaped already
	values       url.Values
	body         []byte        // nil means no body
	header       http.Header   // replaces the default Accept; nil means no further header
	longer       time.Duration // what an attempt may take beyond Options.Timeout
	// unready says that a response of 503 is an answer if its document is no problem
	// document.
	unready bool
}

// reply is an answer with its whole body.
type reply struct {
	status      int
	contentType string
	retryAfter  string
	etag        string
	body        []byte
}

// do sends the query until there is an answer, or until another attempt cannot help.
func (c *Client) do(ctx context.Context, q query) (reply, error) {
	ctx, done, err := c.begin(ctx)
	if err != nil {
		return reply{}, err
	}
	defer done()
	first := int(c.first.Load())
	for attempt := 0; ; attempt++ {
		i := (first + attempt) % len(c.bases)
		answer, err := c.attempt(ctx, c.bases[i], q)
		var refusal *api.Refusal
		wait, again := time.Duration(0), false
		switch {
		case err != nil:
			wait, again = c.backoff(attempt), worthAnother(err)
		case answer.status < 300 || q.unready && answer.status == http.StatusServiceUnavailable && answer.contentType != wire.ProblemJSON:
			c.first.Store(uint32(i))
			return answer, nil
		default:
			refusal = answer.refusal()
			err = refusal
			if refusal.Status == http.StatusTooManyRequests || refusal.Status == http.StatusServiceUnavailable {
				wait, again = c.retryAfter(answer.retryAfter, attempt)
			}
		}
		if context.Cause(ctx) != nil {
			err, again = context.Cause(ctx), false
		}
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= wait {
			again = false // the context would end during the wait
		}
		if again && attempt < c.options.Retries && sleep(ctx, wait) {
			continue
		}
		if refusal == nil && context.Cause(ctx) != nil {
			err = context.Cause(ctx)
		}
		return reply{}, fmt.Errorf("client: %s %s of %s: %w", q.method, q.path, c.bases[i].Host, err)
	}
}

// attempt sends the query once. Its errors are those of the network.
func (c *Client) attempt(ctx context.Context, base *url.URL, q query) (reply, error) {
	timeout := c.options.Timeout + q.longer
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("no answer within %v: %w", timeout, context.DeadlineExceeded))
	defer cancel()
	target := base.String() + q.path
	if len(q.values) > 0 {
		target += "?" + q.values.Encode()
	}
	var body io.Reader
	if q.body != nil {
		body = bytes.NewReader(q.body)
	}
	r, err := http.NewRequestWithContext(ctx, q.method, target, body)
	if err != nil {
		return reply{}, err
	}
	r.Header.Set("Accept", wire.JSON+", "+wire.ProblemJSON)
	r.Header.Set("User-Agent", "clusterkit")
	if c.options.Compression {
		r.Header.Set("Accept-Encoding", "gzip")
	}
	maps.Copy(r.Header, q.header)
	if q.body != nil {
		r.Header.Set("Content-Type", wire.JSON)
	}
	// An http.Client would follow redirects, and its errors contain the query.
	w, err := c.pool.RoundTrip(r)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = w.Body.Close() }()
	content, err := c.read(w)
	if err != nil {
		return reply{}, err
	}
	kind, _, _ := mime.ParseMediaType(w.Header.Get("Content-Type"))
	return reply{w.StatusCode, kind, w.Header.Get("Retry-After"), w.Header.Get("ETag"), content}, nil
}

// read returns the body of an answer, decompressed.
func (c *Client) read(w *http.Response) ([]byte, error) {
	from, bound := io.Reader(w.Body), c.options.MaxAnswerBytes
	if w.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(w.Body)
		if err != nil {
			return nil, fmt.Errorf("decompressing the answer: %w", err)
		}
		from = unzipped
	}
	content, err := io.ReadAll(io.LimitReader(from, bound+1))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if int64(len(content)) > bound {
		return nil, &answerTooLong{bound}
	}
	return content, nil
}

type answerTooLong struct{ bound int64 }

func (e *answerTooLong) Error() string {
	return fmt.Sprintf("the answer is longer than %d bytes: raise MaxAnswerBytes", e.bound)
}

// worthAnother reports whether another attempt may succeed after an error of the
// network. It cannot when the two sides do not trust each other, or when the client is
// closed.
func worthAnother(err error) bool {
	var (
		certificate *tls.CertificateVerificationError
		alert       tls.AlertError
		notTLS      tls.RecordHeaderError
		long        *answerTooLong
	)
	return !errors.As(err, &certificate) && !errors.As(err, &alert) && !errors.As(err, &notTLS) && !errors.As(err, &long) &&
		!errors.Is(err, ErrClosed) && !errors.Is(err, errInClear) && !errors.Is(err, errToken) && !strings.Contains(err.Error(), "remote error: tls: ")
}

// backoff returns the wait after an attempt.
func (c *Client) backoff(attempt int) time.Duration {
	wait := c.options.MaxBackoff
	if attempt < 30 {
		wait = min(wait, c.options.MinBackoff<<attempt)
	}
	if wait <= 0 { // overflow
		wait = c.options.MaxBackoff
	}
	return wait - time.Duration(rand.Int64N(int64(wait)/2+1)) //nolint:gosec // a time
}

// retryAfter returns the wait after a refusal, and whether to send the query again.
func (c *Client) retryAfter(header string, attempt int) (time.Duration, bool) {
	wait := c.backoff(attempt)
	seconds, err := strconv.ParseUint(header, 10, 32)
	if err != nil {
		if at, err := http.ParseTime(header); err == nil {
			wait = max(wait, time.Until(at))
		}
	} else if seconds > 0 {
		// The wait is up to a little longer, so that clients with the same Retry-After
		// do not return at the same moment.
		wait = time.Duration(seconds)*time.Second + wait/4
	}
	return wait, wait <= c.options.MaxRetryAfter
}

// sleep waits. It returns false when the context ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

const unknownStatus = "Unknown status"

// refusal reads a refusal. If the answer is no problem document, refusal makes one of
// it.
func (a reply) refusal() *api.Refusal {
	var p api.Refusal
	if a.contentType == wire.ProblemJSON && json.Unmarshal(a.body, &p) == nil {
		p.Status = a.status // the status of the response, not of the document
		p.Type = cmp.Or(p.Type, wire.Blank)
		p.Title = cmp.Or(p.Title, wire.Title(p.Type, p.Status), unknownStatus)
		return &p
	}
	p = api.Refusal{Type: wire.Blank, Title: cmp.Or(http.StatusText(a.status), unknownStatus), Status: a.status}
	if strings.HasPrefix(a.contentType, "text/plain") {
		p.Detail = wire.Cut(strings.ToValidUTF8(strings.TrimSpace(string(a.body[:min(len(a.body), 2*wire.Most)])), "?"))
	}
	return &p
}

// askJSON sends a query, and decodes the document of the answer.
func askJSON[T any](ctx context.Context, c *Client, q query) (T, error) {
	var document T
	answer, err := c.do(ctx, q)
	if err != nil {
		return document, err
	}
	if answer.contentType != wire.JSON {
		return document, fmt.Errorf("client: %s %s: the answer is %s, not %s: is it a member that answers?", q.method, q.path, wire.Brief(answer.contentType), wire.JSON)
	}
	if err := json.Unmarshal(answer.body, &document); err != nil {
		return document, fmt.Errorf("client: %s %s: the answer is not what it should be: %w", q.method, q.path, err)
	}
	return document, nil
}
