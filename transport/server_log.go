package transport

import (
	"log"
	"log/slog"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// serverLog takes the lines of net/http, most of which strangers cause: a failed
// handshake is one. It passes on some a second and counts the rest, so that no client
// can fill a disk from outside.
type serverLog struct {
	logger *slog.Logger

	mu      sync.Mutex
	limit   *rate.Limiter
	dropped int
}

func newServerLog(logger *slog.Logger) *log.Logger {
	return log.New(&serverLog{logger: logger, limit: rate.NewLimiter(5, 50)}, "", 0)
}

// Write takes one line.
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
		message := strings.TrimSuffix(string(line), "\n")
		if dropped > 0 {
			l.logger.Warn(message, "dropped", dropped)
		} else {
			l.logger.Warn(message)
		}
	}
	return len(line), nil
}
