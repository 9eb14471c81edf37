package transport

import (
	"log"
	"log/slog"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/clusterkit/clusterkit/membership/printable"
)

// serverLog takes the log lines of net/http. Any client can cause such lines, for
// example by a failed handshake. serverLog logs only a few lines a second and counts
// the rest, so that no client can fill a disk.
type serverLog struct {
	logger *slog.Logger

	mu      sync.Mutex
	limit   *rate.Limiter
	dropped int
}

func newServerLog(logger *slog.Logger) *log.Logger {
	return log.New(&serverLog{logger: logger, limit: rate.NewLimiter(5, 50)}, "", 0)
}

// Write logs or counts one line.
func (l *serverLog) Write(line []byte) (int, error) {
	l.mu.Lock()
	pass, dropped := l.limit.AllowN(time.Now(), 1), l.dropped
	if pass {
		l.dropped = 0
	} else {
		l.dropped++
	}
	l.mu.Unlock()
	if pass {
		message := printable.Line(strings.TrimSuffix(string(line), "\n"))
		if dropped > 0 {
			l.logger.Warn(message, "dropped", dropped)
		} else {
			l.logger.Warn(message)
		}
	}
	return len(line), nil
}
