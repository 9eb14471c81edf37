package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"

	"github.com/clusterkit/clusterkit/transport/internal/reload"
	"github.com/clusterkit/clusterkit/transport/internal/tlsfiles"
)

// Server serves a handler over HTTP/1.1 and HTTP/2. Over TLS the client chooses. In clear it
// serves HTTP/2 to clients that begin with it, as gRPC and [client.Pool] do.
// Make one with [Listen] or [Serve]. All methods are safe for concurrent use and may be called in
// any order.
type Server struct {
	http     *http.Server
	listener *limitListener
	done     chan struct{}
	closing  func()
	files    *reload.Value[tlsfiles.Credentials] // nil without TLS
	err      error                               // written before done is closed
}

// maxStreams is how many requests an HTTP/2 connection carries at a time.
const maxStreams = 250

// Listen binds a TCP address, host:port, and serves the handler on it: see [Serve].
// Port 0 takes any free port, and an empty host means all interfaces; [Server.Addr]
// returns the address that was bound. Listen returns the errors of Serve, and the
// system's error when the address cannot be bound. It blocks only to resolve a host
// name.
func Listen(addr string, h http.Handler, o ServerOptions) (*Server, error) {
	secure, files, err := o.prepare("Listen", h)
	if err != nil {
		return nil, err
	}
	var config net.ListenConfig // keep-alive probes are on unless switched off
	l, err := config.Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("transport: listening on %q: %w", addr, err)
	}
	return serve(l, h, o.withDefaults(), secure, files), nil
}

// Serve begins to serve the handler on a listener, in a goroutine of its own. With TLS
// in the options the server encrypts, so the listener must not. The caller must shut the
// returned server down, which closes the listener. When Serve returns an error, the
// caller must close the listener.
//
// Serve returns the error of [ServerOptions.Validate], and an error for a nil listener
// or handler, or for files of ServerOptions.TLS that cannot be used. It does not block.
func Serve(l net.Listener, h http.Handler, o ServerOptions) (*Server, error) {
	if l == nil {
		return nil, errors.New("transport: Serve: the listener is nil: must be set")
	}
	secure, files, err := o.prepare("Serve", h)
	if err != nil {
		return nil, err
	}
	return serve(l, h, o.withDefaults(), secure, files), nil
}

// prepare checks the arguments of a server, and reads the files of TLS. Without TLS the
// configuration and the files are nil.
func (o ServerOptions) prepare(doing string, h http.Handler) (secure *tls.Config, files *reload.Value[tlsfiles.Credentials], err error) {
	if err := o.Validate(); err != nil {
		return nil, nil, fmt.Errorf("transport: options of the server: %w", err)
	}
	if h == nil {
		return nil, nil, fmt.Errorf("transport: %s: the handler is nil: must be set", doing)
	}
	if !encrypts(o.TLS) {
		return nil, nil, nil
	}
	return watchedTLS(o.TLS, o.Logger)
}

func serve(l net.Listener, h http.Handler, o ServerOptions, secure *tls.Config, files *reload.Value[tlsfiles.Credentials]) *Server {
	closing := make(chan struct{})
	s := &Server{
		files:    files,
		closing:  sync.OnceFunc(func() { close(closing) }),
		listener: newLimitListener(l, o.MaxConnections, o.MaxConnectionsPerClient),
		done:     make(chan struct{}),
		http: &http.Server{
			Handler: h,
			BaseContext: func(net.Listener) context.Context {
				return context.WithValue(context.Background(), closingKey{}, (<-chan struct{})(closing))
			},
			ReadHeaderTimeout: o.ReadHeaderTimeout,
			ReadTimeout:       o.ReadTimeout,
			WriteTimeout:      o.WriteTimeout,
			IdleTimeout:       o.IdleTimeout,
			MaxHeaderBytes:    o.MaxHeaderBytes,
			ErrorLog:          newServerLog(o.Logger),
			TLSConfig:         secure,
			HTTP2: &http.HTTP2Config{
				MaxConcurrentStreams: maxStreams,
				SendPingTimeout:      o.ReadTimeout, // a peer that is gone then does not keep a slot
				PingTimeout:          o.ReadHeaderTimeout,
				WriteByteTimeout:     o.ReadTimeout,
			},
			// The handler itself answers OPTIONS *.
			DisableGeneralOptionsHandler: true,
		},
	}
	s.http.Protocols = new(http.Protocols)
	s.http.Protocols.SetHTTP1(true)
	s.http.Protocols.SetHTTP2(secure != nil)
	s.http.Protocols.SetUnencryptedHTTP2(secure == nil)
	serving := s.http.Serve
	if secure != nil {
		serving = func(l net.Listener) error { return s.http.ServeTLS(l, "", "") }
	}
	go func() {
		defer close(s.done)
		if err := serving(s.listener); !errors.Is(err, http.ErrServerClosed) {
			s.err = fmt.Errorf("transport: serving on %s: %w", s.Addr(), err)
			o.Logger.Error("HTTP server ended", "addr", s.Addr().String(), "error", err)
		}
	}()
	return s
}

// Addr returns the bound address.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Done returns a channel that is closed when the server does not accept connections any
// more: after the first [Server.Shutdown], or because serving failed.
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

// Shutdown stops accepting connections, and waits for requests that have begun. It ends
// requests that wait for another table or follow the events. When
// ctx ends first, it closes their connections, which ends the contexts of these
// requests, and returns an error that wraps ctx.Err(). In both cases the server accepts
// no connection and its goroutine has ended when Shutdown returns.
//
// Idle connections are closed at once. A connection that was just opened and has sent
// no request yet gets 5 s for its first request. Later calls wait in the same way for
// connections that are still open, and return nil when there are none.
func (s *Server) Shutdown(ctx context.Context) error {
	s.closing()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = fmt.Errorf("transport: waiting for requests to end: %w", err)
		// The connections are closed afterwards, whatever Close returns.
		_ = s.http.Close()
	}
	<-s.done
	return err
}
