package transport

import "time"

// ServerStats are the present figures of a [Server].
type ServerStats struct {
	// Connections is the number of open connections, with idle ones, and MaxConnections
	// how many may be open: see [ServerOptions].
	Connections, MaxConnections int
	// CertificateExpires is when the certificate in use expires, or the first of its
	// intermediates. It is zero without TLS.
	CertificateExpires time.Time
	// ReloadFailures counts the checks that found files of TLS which have changed and
	// cannot be used. Their earlier contents stay in use.
	ReloadFailures uint64
}

// Stats returns the present figures. It checks whether the files of TLS have changed, at
// most once a second, and does not block otherwise.
func (s *Server) Stats() ServerStats {
	stats := ServerStats{Connections: int(s.listener.open.Load()), MaxConnections: cap(s.listener.slots)}
	if s.files != nil {
		stats.CertificateExpires = s.files.Get().Expires
		stats.ReloadFailures = s.files.Failures()
	}
	return stats
}
