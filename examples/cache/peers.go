package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"time"

	"github.com/clusterkit/clusterkit/ring"
)

// onlyIfCached asks a member for what it has, without asking others for it.
const onlyIfCached = "only-if-cached"

// reply is another member's answer to a read.
type reply struct {
	status  int
	header  http.Header
	content []byte
}

func (a *reply) write(w http.ResponseWriter) {
	for _, name := range []string{"Content-Type", memberHeader, zoneHeader, resultHeader, writtenHeader} {
		if value := a.header.Get(name); value != "" {
			w.Header().Set(name, value)
		}
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.content)
}

// forward has another member answer a read. It returns an error when that
// member does not answer, or does not own the key by its own view.
func (s *Service) forward(ctx context.Context, id, path string, p ring.Placement) (*reply, error) {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	return s.ask(ctx, http.MethodGet, id, path, p, nil, nil)
}

// send has another member take a write.
func (s *Service) send(ctx context.Context, id, path string, v Value, p ring.Placement) error {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	_, err := s.ask(ctx, http.MethodPut, id, path, p, v.Content, http.Header{
		writtenHeader: {strconv.FormatInt(v.Written.UnixNano(), 10)},
	})
	return err
}

// fill returns what the other owners of a key hold, the newest of it. It takes
// half as long as a forwarded read may, so that the one who forwarded it does not
// give up on this member because another one does not answer.
func (s *Service) fill(ctx context.Context, path string, p ring.Placement) (newest Value, found bool) {
	ctx, cancel := context.WithTimeout(ctx, s.patience/2)
	defer cancel()
	values := make(chan Value, p.Len())
	asked := 0
	for _, owner := range p.All() {
		if owner.ID() == s.id() {
			continue
		}
		asked++
		go func() {
			a, err := s.ask(ctx, http.MethodGet, owner.ID(), path, p, nil, http.Header{"Cache-Control": {onlyIfCached}})
			if err != nil || a.status != http.StatusOK {
				values <- Value{}
				return
			}
			written, err := parseWritten(a.header)
			if err != nil {
				values <- Value{}
				return
			}
			values <- Value{a.content, written}
		}()
	}
	for range asked {
		if v := <-values; v.Written.After(newest.Written) {
			newest, found = v, true
		}
	}
	return newest, found
}

// ask sends a request to another member, with the token by which it was chosen.
func (s *Service) ask(ctx context.Context, method, id, path string, p ring.Placement, body []byte, header http.Header) (*reply, error) {
	member, ok := s.owners.Member(id)
	if !ok || member.HTTPAddr == "" {
		return nil, fmt.Errorf("%s has no HTTP address", id)
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://"+member.HTTPAddr+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	maps.Copy(request.Header, header)
	request.Header.Set(tokenHeader, p.Token().String())
	response, err := s.peers.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(io.LimitReader(response.Body, maxValue+1))
	switch {
	case err != nil:
		return nil, err
	case len(content) > maxValue:
		return nil, fmt.Errorf("%s answers with more than %d bytes", id, maxValue)
	case response.StatusCode == http.StatusMisdirectedRequest:
		return nil, fmt.Errorf("%s does not own this key: its token is %s, ours %v", id, response.Header.Get(tokenHeader), p.Token())
	case response.StatusCode >= 300 && response.StatusCode != http.StatusNotFound:
		return nil, fmt.Errorf("%s answers %s", id, response.Status)
	}
	return &reply{response.StatusCode, response.Header, content}, nil
}

// parseWritten reads when a value was written. A clock that is far ahead would
// make its values win over all others, for ever.
func parseWritten(h http.Header) (time.Time, error) {
	ns, err := strconv.ParseInt(h.Get(writtenHeader), 10, 64)
	if err != nil {
		return time.Time{}, errors.New(writtenHeader + ": must be nanoseconds since 1970")
	}
	written := time.Unix(0, ns)
	if ahead := time.Until(written); ahead > maxSkew {
		return time.Time{}, fmt.Errorf("%s is %v ahead of this member's clock: must be at most %v", writtenHeader, ahead, maxSkew)
	}
	return written, nil
}
