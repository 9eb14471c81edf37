package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// ErrClientClosed says that a [Client] was closed.
var ErrClientClosed = errors.New("transport: the client was closed")

// ClientOptions configure a [Client]. Only URLs is required.
type ClientOptions struct {
	// URLs are where members are reached, http or https, with the path that
	// the handler is mounted below, if any: 1 to 1,000. The first is asked
	// first; after a failure the next, and from then on that one.
	URLs []string
	// Token is sent with every request. TokenFile holds it instead: the first
	// word that is not a scope, so that a server's token file serves; it is
	// read again when it changes, at most once a second. At most one of them.
	Token     Secret
	TokenFile string
	// TokensInClear says that the token may be sent to an http URL whose host
	// is not a loopback address. Otherwise that is refused.
	TokensInClear bool

	// Pool carries the requests, and is not closed with the client: one for
	// all clients of a process. Nil: the client makes one of PoolOptions.
	Pool        *Pool
	PoolOptions PoolOptions

	// Timeout is how long one attempt may take, the answer's body included: 1
	// ms to 24 h. Zero means 10 s. The context bounds all attempts together.
	Timeout time.Duration
	// Retries is how many further attempts there are at most: -1 for none, up
	// to 100. Zero means 3.
	Retries int
	// MinBackoff and MaxBackoff bound the wait before an attempt, which
	// doubles each time and is then cut by up to half, by chance: 1 ms to 24
	// h. Zero means 50 ms and 2 s. When the server says in Retry-After how
	// long to wait, that is what counts, if it is no longer than
	// MaxRetryAfter; zero means 30 s.
	MinBackoff, MaxBackoff, MaxRetryAfter time.Duration

	// MaxKeys and MaxBodyBytes are the largest batch sent at once: the
	// server's [HandlerOptions.MaxKeys] and [HandlerOptions.MaxBodyBytes],
	// within the same bounds. Zero means the server's defaults. When the
	// server turns out to take less, the client sends less from then on.
	MaxKeys      int
	MaxBodyBytes int64
	// MaxAnswerBytes is the longest answer that is read: 1 KiB to 1 GiB. Zero
	// means 64 MiB.
	MaxAnswerBytes int64

	// Logger gets what becomes of TokenFile and of the files of TLS. Nil means
	// [slog.Default].
	Logger *slog.Logger
}

// Validate returns an [OptionError] for every option that is out of bounds or
// does not go with another, joined; never with the token in it. It opens nothing.
func (o ClientOptions) Validate() error {
	_, err := o.parse()
	return err
}

func (o ClientOptions) parse() ([]*url.URL, error) {
	var errs []error
	bad := func(field string, value any, bound string) {
		errs = append(errs, &OptionError{Field: "ClientOptions." + field, Value: value, Bound: bound})
	}
	token := o.Token.Reveal()
	if n := len(o.URLs); n < 1 || n > 1000 {
		bad("len(URLs)", n, "between 1 and 1000")
	}
	var bases []*url.URL
	for i, text := range o.URLs {
		field := fmt.Sprintf("URLs[%d]", i)
		base, err := url.Parse(text)
		switch {
		case err == nil && base.User != nil:
			bad(field, base.Redacted(), "without a user: send a token instead")
		case err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Hostname() == "" || base.RawQuery != "" || base.ForceQuery || base.Fragment != "":
			bad(field, text, "http://host:port or https://host:port, with a path or without")
		case base.Scheme == "http" && (token != "" || o.TokenFile != "") && !o.TokensInClear && !isLoopback(base.Hostname()):
			bad(field, text, "an https URL: the token would be sent in clear; set TokensInClear to allow that")
		default:
			base.Path, base.RawPath = strings.TrimRight(base.Path, "/"), ""
			bases = append(bases, base)
		}
	}
	if o.Token.reveal != nil && !validToken(token) {
		bad("Token", fmt.Sprintf("a text of %d bytes", len(token)), tokenBound)
	}
	if token != "" && o.TokenFile != "" {
		bad("TokenFile", o.TokenFile, "empty when Token is set")
	}
	if o.Pool != nil && o.PoolOptions != (PoolOptions{}) {
		bad("PoolOptions", "set", "zero when Pool is set")
	}
	o = o.withDefaults()
	const short, long = time.Millisecond, 24 * time.Hour
	errs = append(errs,
		within("ClientOptions.Timeout", o.Timeout, short, long),
		within("ClientOptions.Retries", o.Retries, -1, 100),
		within("ClientOptions.MinBackoff", o.MinBackoff, short, long),
		within("ClientOptions.MaxBackoff", o.MaxBackoff, short, long),
		within("ClientOptions.MaxRetryAfter", o.MaxRetryAfter, short, long),
		within("ClientOptions.MaxKeys", o.MaxKeys, 1, 100_000),
		within("ClientOptions.MaxBodyBytes", o.MaxBodyBytes, 1<<10, 64<<20),
		within("ClientOptions.MaxAnswerBytes", o.MaxAnswerBytes, 1<<10, 1<<30),
		o.PoolOptions.Validate(),
	)
	return bases, errors.Join(errs...)
}

func (o ClientOptions) withDefaults() ClientOptions {
	o.Timeout = orDefault(o.Timeout, 10*time.Second)
	o.Retries = orDefault(o.Retries, 3)
	o.MinBackoff = orDefault(o.MinBackoff, 50*time.Millisecond)
	o.MaxBackoff = orDefault(o.MaxBackoff, 2*time.Second)
	o.MaxRetryAfter = orDefault(o.MaxRetryAfter, 30*time.Second)
	o.MaxKeys = orDefault(o.MaxKeys, 10_000)
	o.MaxBodyBytes = orDefault(o.MaxBodyBytes, 1<<20)
	o.MaxAnswerBytes = orDefault(o.MaxAnswerBytes, 64<<20)
	o.Logger = orDefault(o.Logger, slog.Default())
	return o
}

// isLoopback reports whether a host can be reached from this machine alone.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback() || strings.EqualFold(strings.TrimSuffix(host, "."), "localhost")
}

// Client asks members what [Handler] answers. Make one with [NewClient] and close
// it. All methods are safe for concurrent use.
//
// An answer that is a refusal comes as an error that wraps [*ProblemDetails];
// what is no problem document, such as the answer of a proxy, is made into one.
// Other errors are those of the network and of the context. No error shows the
// token or a key.
//
// Everything a client asks can be asked twice. It asks again when the connection
// fails or breaks off, and when the answer is 429 or 503, waiting longer each
// time or as long as the server says; it does not when waiting would outlast the
// context, nor when the other side's certificate is wrong. It follows no
// redirect.
type Client struct {
	options ClientOptions
	bases   []*url.URL
	pool    *Pool
	ownPool bool
	token   func() string

	first    atomic.Uint32 // the base that answered last
	maxKeys  atomic.Int64  // as learned
	maxBytes atomic.Int64

	life   context.Context
	end    context.CancelCauseFunc
	mu     sync.Mutex // guards the start of requests against Close
	closed bool
	busy   sync.WaitGroup
}

// NewClient returns a client. It opens no connection, but reads the files it is
// given. The error is that of [ClientOptions.Validate], or says which file cannot
// be used.
func NewClient(o ClientOptions) (*Client, error) {
	bases, err := o.parse()
	if err != nil {
		return nil, err
	}
	o = o.withDefaults()
	c := &Client{options: o, bases: bases, pool: o.Pool}
	if c.token, err = tokenSource(o); err != nil {
		return nil, err
	}
	if c.pool == nil {
		o.PoolOptions.Logger = orDefault(o.PoolOptions.Logger, o.Logger)
		if c.pool, err = NewPool(o.PoolOptions); err != nil {
			return nil, err
		}
		c.ownPool = true
	}
	c.maxKeys.Store(int64(o.MaxKeys))
	c.maxBytes.Store(o.MaxBodyBytes)
	c.life, c.end = context.WithCancelCause(context.Background())
	return c, nil
}

// tokenSource returns what tells the token now in force.
func tokenSource(o ClientOptions) (func() string, error) {
	if o.TokenFile == "" {
		return o.Token.Reveal, nil
	}
	file, err := watch([]string{o.TokenFile}, o.Logger, func(contents [][]byte) (Secret, error) {
		for line := range strings.Lines(string(contents[0])) {
			fields := strings.Fields(line)
			if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
				continue
			}
			if _, err := parseScope(fields[0]); err == nil && len(fields) > 1 {
				fields = fields[1:]
			}
			if !validToken(fields[0]) {
				return Secret{}, fmt.Errorf("file %q: its token must be %s", o.TokenFile, tokenBound)
			}
			return NewSecret(fields[0]), nil
		}
		return Secret{}, fmt.Errorf("file %q holds no token", o.TokenFile)
	})
	if err != nil {
		return nil, fmt.Errorf("transport: token of the client: %w", err)
	}
	return func() string { return file.get().Reveal() }, nil
}

// Close ends requests under way with [ErrClientClosed], which later ones get too,
// waits for them, and closes the connections of a pool of its own. It may be
// called any number of times and returns nil.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.end(ErrClientClosed)
	c.busy.Wait()
	if c.ownPool {
		_ = c.pool.Close()
	}
	return nil
}

// begin registers a request; done must be called.
func (c *Client) begin(ctx context.Context) (_ context.Context, done func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, nil, ErrClientClosed
	}
	c.busy.Add(1)
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(c.life, func() { cancel(ErrClientClosed) })
	return ctx, func() { stop(); cancel(nil); c.busy.Done() }, nil
}
