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

// onlyIfCached asks a member for its own value, without a request to other owners.
const onlyIfCached = "only-if-cached"

// reply is another member's answer to a read.
type reply struct {
	status  int
	header  http.Header
	content []byte
}

func (a *reply) write(w http.ResponseWriter) {
	for _, name := range []string{"Content-Type", memberHeader, zoneHeader, resultHeader, versionHeader, ageHeader} {
		if value := a.header.Get(name); value != "" {
			w.Header().Set(name, value)
		}
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.content)
}

// forward sends a read to another member. It returns an error when that member does not
// answer, or does not own the key in its own view.
func (s *Service) forward(ctx context.Context, id, path string, p ring.Placement) (*reply, error) {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	return s.ask(ctx, http.MethodGet, id, path, p, nil, nil)
}

// send sends a write to another member, and returns the version that this member then
// has: that of the value, or a higher one.
func (s *Service) send(ctx context.Context, id, path string, v Value, p ring.Placement) (highest int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	header := make(http.Header)
	setValue(header, v)
	a, err := s.ask(ctx, http.MethodPut, id, path, p, v.Content, header)
	if err != nil || a.status != http.StatusConflict {
		return v.Version, err
	}
	return number(a.header, versionHeader)
}

// fill returns the newest value of a key that another owner holds. It may take half of
// the time of a forwarded read, so that a member that forwarded the read still gets
// this member's answer when another owner does not answer.
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
			v, err := value(a.header, a.content)
			if err != nil {
				values <- Value{}
				return
			}
			values <- v
		}()
	}
	for range asked {
		if v := <-values; v.Version > newest.Version {
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
	case response.StatusCode >= 300 && response.StatusCode != http.StatusNotFound && response.StatusCode != http.StatusConflict:
		return nil, fmt.Errorf("%s answers %s", id, response.Status)
	}
	return &reply{response.StatusCode, response.Header, content}, nil
}

// setValue and value write and read the headers of a value.
func setValue(h http.Header, v Value) {
	h.Set(versionHeader, strconv.FormatInt(v.Version, 10))
	h.Set(ageHeader, strconv.FormatInt(int64(time.Since(v.Taken)), 10))
}

func value(h http.Header, content []byte) (Value, error) {
	version, noVersion := number(h, versionHeader)
	age, noAge := number(h, ageHeader)
	return Value{content, version, time.Now().Add(-time.Duration(age))}, errors.Join(noVersion, noAge)
}

// number parses a number up to maxNumber, so that higher versions are possible.
func number(h http.Header, name string) (int64, error) {
	n, err := strconv.ParseInt(h.Get(name), 10, 64)
	if err != nil || n < 0 || n > maxNumber {
		return 0, fmt.Errorf("%s: %q: must be a number from 0 to %d", name, h.Get(name), int64(maxNumber))
	}
	return n, nil
}

// maxNumber, in nanoseconds since 1970, is in the year 2116.
const maxNumber = 1 << 62
