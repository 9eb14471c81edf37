package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
)

// Server serves a handler over HTTP/1.1, and over HTTP/2 to clients that come with
// TLS and ask for it. Make one with [Listen] or [Serve]. All methods are safe for concurrent use and in
// any order.
type Server struct {
	http     *http.Server
	listener *limitListener
	done     chan struct{}
	err      error // written before done is closed
}

// maxStreams is how many requests an HTTP/2 connection carries at a time.
const maxStreams = 250

// Listen binds a TCP address, host:port, and serves the handler on it: see [Serve].
// Port 0 takes any free port and an empty host all interfaces; [Server.Addr] says what
// was bound. It returns the errors of Serve, and the system's error when the address
// cannot be bound. It blocks only to resolve a host name.
func Listen(addr string, h http.Handler, o ServerOptions) (*Server, error) {
	secure, err := o.prepare("Listen", h)
	if err != nil {
		return nil, err
	}
	var config net.ListenConfig // keep-alive probes are on unless switched off
	l, err := config.Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("transport: listening on %q: %w", addr, err)
	}
	return serve(l, h, o.withDefaults(), secure), nil
}

// Serve begins to serve the handler on a listener, in a goroutine of its own. With TLS
// in the options the server encrypts; the listener must not. The returned server must
// be shut down, which closes the listener. Where Serve returns an error, the listener is
// still the caller's to close.
//
// It returns what [ServerOptions.Validate] reports, and an error for a nil listener or
// handler or for files of ServerOptions.TLS that cannot be used. It does not block.
func Serve(l net.Listener, h http.Handler, o ServerOptions) (*Server, error) {
	if l == nil {
		return nil, errors.New("transport: Serve: the listener is nil: must be set")
	}
	secure, err := o.prepare("Serve", h)
	if err != nil {
		return nil, err
	}
	return serve(l, h, o.withDefaults(), secure), nil
}

// prepare checks what a server is made of, and reads the files of TLS; without TLS the
// configuration is nil.
func (o ServerOptions) prepare(doing string, h http.Handler) (secure *tls.Config, err error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("transport: options of the server: %w", err)
	}
	if h == nil {
		return nil, fmt.Errorf("transport: %s: the handler is nil: must be set", doing)
	}
	if !encrypts(o.TLS) {
		return nil, nil
	}
	return ServerTLS(o.TLS, o.Logger)
}

func serve(l net.Listener, h http.Handler, o ServerOptions, secure *tls.Config) *Server {
	s := &Server{
		listener: newLimitListener(l, o.MaxConnections, o.MaxConnectionsPerClient),
		done:     make(chan struct{}),
		http: &http.Server{
			Handler:           h,
			ReadHeaderTimeout: o.ReadHeaderTimeout,
			ReadTimeout:       o.ReadTimeout,
			WriteTimeout:      o.WriteTimeout,
			IdleTimeout:       o.IdleTimeout,
			MaxHeaderBytes:    o.MaxHeaderBytes,
			ErrorLog:          newServerLog(o.Logger),
			TLSConfig:         secure,
			HTTP2: &http.HTTP2Config{
				MaxConcurrentStreams: maxStreams,
				SendPingTimeout:      o.ReadTimeout, // a peer that is gone holds a slot no longer
				PingTimeout:          o.ReadHeaderTimeout,
				WriteByteTimeout:     o.ReadTimeout,
			},
			// The handler has an answer of its own for OPTIONS *.
			DisableGeneralOptionsHandler: true,
		},
	}
	serving := s.http.Serve
	if secure != nil {
		serving = func(l net.Listener) error { return s.http.ServeTLS(l, "", "") }
	}
	go func() {
		defer close(s.done)
		if err := serving(s.listener); !errors.Is(err, http.ErrServerClosed) {
			s.err = fmt.Errorf("transport: serving on %s: %w", s.Addr(), err)
			o.Logger.Error("HTTP server ended", "addr", s.Addr().String(), "err", err)
		}
	}()
	return s
}

// Addr returns the bound address.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Done returns a channel that is closed when the server no longer accepts
// connections: after the first [Server.Shutdown], or because serving failed.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err returns why serving ended, if it was not by [Server.Shutdown]; nil before
// [Server.Done] is closed.
func (s *Server) Err() error {
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}

// Shutdown stops accepting and waits for requests that have begun. When ctx ends
// first it closes their connections and returns an error that wraps
// ctx.Err(); their handlers notice by their request's context. Either way nothing
// accepts any more and the serving goroutine has ended when it returns.
//
// Idle connections are closed at once. One that was just opened and has asked
// nothing yet gets 5 s for its first request. Later calls wait likewise for
// whatever is still open, and return nil when nothing is.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = fmt.Errorf("transport: waiting for requests to end: %w", err)
		// The connections are gone afterwards whatever it returns.
		_ = s.http.Close()
	}
	<-s.done
	return err
}
