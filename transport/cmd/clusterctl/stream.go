package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport/api"
)

// change is a line of watch.
type change struct {
	At          time.Time        `json:"at"`
	Fingerprint ring.Fingerprint `json:"fingerprint"`
	Members     int              `json:"members"`
	Partitions  int              `json:"partitions"`
	Moving      bool             `json:"moving"`
}

func (c *cli) change(now change) error {
	if c.settings.output == "json" {
		return c.line(now)
	}
	text := fmt.Sprintf("%s  %v  %d members, %d partitions", now.At.Format(time.RFC3339), now.Fingerprint, now.Members, now.Partitions)
	if now.Moving {
		text += ", moving"
	}
	_, err := fmt.Fprintln(c.out, text)
	return err
}

// line writes a document in one line.
func (c *cli) line(document any) error {
	encoder := json.NewEncoder(c.out)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(document)
}

var errNoStream = errors.New("GET /v1/events: the answer is no stream of events: is it a member that answers?")

// silence is how long a stream may be silent. A member sends something every 15 s.
const silence = 45 * time.Second

// get asks the first address that answers for the events after one. The answer must begin within
// the timeout. After that it may be silent for a while or, with zero, must end within the timeout too.
func (m *members) get(ctx context.Context, accept, last string, silent time.Duration) (answer *http.Response, err error) {
	for _, a := range m.settings.addrs {
		limit := &limited{silent: silent}
		within, cancel := context.WithCancelCause(ctx)
		limit.cancel = cancel
		limit.timer = time.AfterFunc(m.settings.within(), func() { cancel(fmt.Errorf("no answer within %v", m.settings.within())) })
		var r *http.Request
		if r, err = http.NewRequestWithContext(within, http.MethodGet, strings.TrimRight(m.settings.url(a), "/")+"/v1/events", nil); err != nil {
			limit.end()
			return nil, err
		}
		r.Header.Set("Accept", accept)
		if last != "" {
			r.Header.Set("Last-Event-ID", last)
		}
		if answer, err = m.pool.RoundTrip(r); err != nil {
			limit.end()
			continue
		}
		limit.ReadCloser, answer.Body = answer.Body, limit
		if answer.StatusCode == http.StatusOK {
			return answer, nil
		}
		var refusal api.Refusal
		_ = json.NewDecoder(http.MaxBytesReader(nil, answer.Body, 1<<20)).Decode(&refusal) // where the body is no refusal, the status is the error
		_ = answer.Body.Close()
		refusal.Status = answer.StatusCode
		err = &refusal
	}
	return nil, fmt.Errorf("GET /v1/events: %w", err)
}

// limited is the body of an answer whose time is limited.
type limited struct {
	io.ReadCloser
	silent time.Duration // zero: the timer runs until the end
	timer  *time.Timer
	cancel context.CancelCauseFunc
}

func (l *limited) Read(b []byte) (int, error) {
	if l.silent > 0 {
		l.timer.Reset(l.silent)
	}
	return l.ReadCloser.Read(b)
}

func (l *limited) Close() error {
	defer l.end()
	return l.ReadCloser.Close()
}

func (l *limited) end() {
	l.timer.Stop()
	l.cancel(nil)
}

// events asks for the last events.
func (m *members) events(ctx context.Context) (events api.Events, err error) {
	answer, err := m.get(ctx, "application/json", "", 0)
	if err != nil {
		return events, err
	}
	defer func() { _ = answer.Body.Close() }()
	if err := json.NewDecoder(http.MaxBytesReader(nil, answer.Body, 64<<20)).Decode(&events); err != nil {
		return events, fmt.Errorf("GET /v1/events: %w", err)
	}
	return events, nil
}

// follow hands each event to a function until the context ends. A member ends a stream
// after some minutes. Then follow asks again, the next member where that one is gone.
func (m *members) follow(ctx context.Context, each func(api.Event) error) error {
	var last api.Event
	for {
		answer, err := m.get(ctx, "text/event-stream", last.ID, silence) //nolint:bodyclose // read closes it
		if err == nil {
			// Another member first sends events of before, which are skipped by their time. A comment ends them.
			// Events after it are new, even if the clock of that member is behind.
			until, past := last.At, true
			err = read(answer, func(e api.Event) error {
				if past = past && e.At.Before(until); past {
					return nil
				}
				last = e
				return each(e)
			}, func() { past = false })
		}
		if ctx.Err() != nil && (err == nil || errors.Is(err, ctx.Err())) {
			return nil // interrupted
		}
		if err != nil {
			return err
		}
		pause := time.NewTimer(time.Second)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
		}
	}
}

// read hands each event of a stream to a function, and calls another one for each comment, which a
// member sends when it has had no event for a while. It returns nil when the stream ends.
func read(answer *http.Response, each func(api.Event) error, quiet func()) error {
	defer func() { _ = answer.Body.Close() }()
	if !strings.HasPrefix(answer.Header.Get("Content-Type"), "text/event-stream") {
		return errNoStream
	}
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		data, found := strings.CutPrefix(lines.Text(), "data: ")
		if strings.HasPrefix(lines.Text(), ":") {
			quiet()
		}
		if !found {
			continue
		}
		var e api.Event
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return fmt.Errorf("GET /v1/events: %w", err)
		}
		if err := each(e); err != nil {
			return err
		}
	}
	return nil // also where the connection broke: the next request says whether the member is gone
}
