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
	kind         string        // the media type of the answer
	longer       time.Duration // what an attempt may take beyond Options.Timeout
	// unready reports whether a response of 503 is the answer of a member that is not
	// ready. Nil means that it never is.
	unready func(reply) bool
}

// reply is an answer with its whole body.
type reply struct {
	status      int
	contentType string
	retryAfter  string
	date        string
	etag        string
	body        []byte
}

// answers reports whether a reply is an answer, and no refusal.
func (q query) answers(a reply) bool {
	return a.status < 300 && a.contentType == q.kind || a.status == http.StatusServiceUnavailable && q.unready != nil && q.unready(a)
}

// do sends the query until there is an answer, or until another attempt cannot help. Each
// attempt asks the next member that may be asked.
func (c *Client) do(ctx context.Context, q query) (reply, error) {
	ctx, done, err := c.begin(ctx)
	if err != nil {
		return reply{}, err
	}
	defer done()
	at, before := int(c.first.Load()), ""
	until := make(map[int]time.Time) // when a member that has failed may be asked again
	if ended := context.Cause(ctx); ended != nil {
		return reply{}, fmt.Errorf("client: %s %s: %w", q.method, q.path, ended)
	}
	for attempt := 0; ; attempt++ {
		answer, err := c.attempt(ctx, c.bases[at], q)
		if err == nil && q.answers(answer) {
			if attempt > 0 {
				c.first.Store(uint32(at))
			}
			return answer, nil
		}
		var wait time.Duration
		var again bool
		switch {
		case err != nil:
			wait, again = afterError(err)
		case answer.status < 300:
			err = fmt.Errorf("the answer is %s, not %s: is it a member that answers?", wire.Brief(answer.contentType), q.kind)
			wait, again = never, true
		default:
			err = answer.refusal()
			wait, again = c.afterRefusal(answer, attempt)
		}
		if again { // also when the context has ended: the next request begins elsewhere
			c.first.CompareAndSwap(uint32(at), uint32((at+1)%len(c.bases)))
		}
		failed := func(err error) error {
			if before != "" && before != c.bases[at].Host+": "+err.Error() {
				return fmt.Errorf("client: %s %s of %s: %w (before, %s)", q.method, q.path, c.bases[at].Host, err, before)
			}
			return fmt.Errorf("client: %s %s of %s: %w", q.method, q.path, c.bases[at].Host, err)
		}
		if ended := context.Cause(ctx); ended != nil {
			return reply{}, failed(ended)
		}
		until[at] = time.Now().Add(wait)
		next, wait := c.next(at, until)
		wait = max(wait, c.backoff(attempt))
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= wait {
			again = false // the context would end during the wait
		}
		if !again || next < 0 || attempt >= c.options.Retries {
			return reply{}, failed(err)
		}
		before = c.bases[at].Host + ": " + err.Error()
		if !sleep(ctx, wait) {
			return reply{}, failed(context.Cause(ctx))
		}
		at = next
	}
}

// next returns the member to ask after another one, and the wait until it may be asked. It
// returns -1 where no member may be asked soon.
func (c *Client) next(at int, until map[int]time.Time) (next int, wait time.Duration) {
	for i := 1; i <= len(c.bases); i++ {
		next := (at + i) % len(c.bases)
		if wait := time.Until(until[next]); wait <= c.options.MaxRetryAfter {
			return next, wait
		}
	}
	return -1, 0
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
	return reply{w.StatusCode, kind, w.Header.Get("Retry-After"), w.Header.Get("Date"), w.Header.Get("ETag"), content}, nil
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

// never is longer than any wait.
const never = 48 * time.Hour

// afterError returns how long the client waits before it asks the same member again after an
// error of the network, and whether a request may be sent again at all. A member is not asked
// again when it and the client do not trust each other.
func afterError(err error) (wait time.Duration, again bool) {
	var (
		certificate *tls.CertificateVerificationError
		alert       tls.AlertError
		notTLS      tls.RecordHeaderError
		long        *answerTooLong
	)
	switch {
	case errors.As(err, &long), errors.Is(err, ErrClosed), errors.Is(err, errInClear), errors.Is(err, errToken):
		return never, false
	case errors.As(err, &certificate), errors.As(err, &alert), errors.As(err, &notTLS), strings.Contains(err.Error(), "remote error: tls: "):
		return never, true
	default:
		return 0, true
	}
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

// afterRefusal returns how long the client waits before it asks the same member again after
// a refusal, and whether a request may be sent again at all. The statuses 502 and 504 are
// those of a proxy that reaches no member. What is no problem document is not the answer of a
// member, and a token that one member does not know may be known to others.
func (c *Client) afterRefusal(a reply, attempt int) (wait time.Duration, again bool) {
	switch a.status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
	default:
		return never, a.status == http.StatusUnauthorized || a.contentType != wire.ProblemJSON
	}
	if seconds, err := strconv.ParseUint(a.retryAfter, 10, 32); err == nil && seconds > 0 {
		// The wait is up to a little longer, so that clients with the same Retry-After
		// do not return at the same moment.
		return time.Duration(seconds)*time.Second + c.backoff(attempt)/4, true
	}
	if at, err := http.ParseTime(a.retryAfter); err == nil {
		now, err := http.ParseTime(a.date) // the clocks may differ
		if err != nil {
			now = time.Now()
		}
		return at.Sub(now), true
	}
	return 0, true
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
	q.kind = wire.JSON
	answer, err := c.do(ctx, q)
	if err != nil {
		return document, err
	}
	if err := json.Unmarshal(answer.body, &document); err != nil {
		return document, fmt.Errorf("client: %s %s: the answer cannot be decoded: %w", q.method, q.path, err)
	}
	return document, nil
}
