package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/ring"
)

// maxPage is the largest number of bytes of an answer: a page with the longest value,
// as JSON, with some reserve.
const maxPage = 4 << 20

// Peers sends requests to other members.
type Peers struct {
	client   *http.Client
	patience time.Duration // the limit for one answer
}

// NewPeers returns Peers that use a client, with a limit for each answer.
func NewPeers(client *http.Client, patience time.Duration) *Peers { return &Peers{client, patience} }

// Write sends an entry to a member, which merges it: see [Replica.Write].
func (p *Peers) Write(ctx context.Context, to cluster.Member, partition int, token ring.Token, key string, e Entry) (newest Version, err error) {
	header := http.Header{tokenHeader: {token.String()}, versionHeader: {e.Version.String()}}
	if e.Deleted {
		header.Set(deletedHeader, "1")
	}
	answer, _, err := p.ask(ctx, http.MethodPut, to, replicaPath(partition, key), header, e.Content, 0)
	if err == nil {
		err = newest.UnmarshalText([]byte(answer.Get(versionHeader)))
	}
	return newest, err
}

// Read asks a member for its entry of a key: see [Replica.Read].
func (p *Peers) Read(ctx context.Context, from cluster.Member, partition int, token ring.Token, key string) (e Entry, err error) {
	header := http.Header{tokenHeader: {token.String()}}
	answer, content, err := p.ask(ctx, http.MethodGet, from, replicaPath(partition, key), header, nil, maxValue)
	if err != nil {
		return Entry{}, err
	}
	e = Entry{Deleted: answer.Get(deletedHeader) != "", Content: content}
	return e, e.Version.UnmarshalText([]byte(answer.Get(versionHeader)))
}

// Highest asks a member for its version of a key: see [Replica.Highest].
func (p *Peers) Highest(ctx context.Context, from cluster.Member, partition int, token ring.Token, key string) (h Highest, err error) {
	header := http.Header{tokenHeader: {token.String()}}
	answer, _, err := p.ask(ctx, http.MethodHead, from, replicaPath(partition, key), header, nil, 0)
	if err != nil {
		return Highest{}, err
	}
	if h.Now, err = strconv.ParseInt(answer.Get(clockHeader), 10, 64); err != nil {
		return Highest{}, fmt.Errorf("%s: %w", clockHeader, err)
	}
	h.Counts = answer.Get(countsHeader) == strconv.FormatBool(true)
	return h, h.Version.UnmarshalText([]byte(answer.Get(versionHeader)))
}

// Page reads a part of a partition from a process. It refuses an answer of another
// start of the same member, which began empty.
func (p *Peers) Page(ctx context.Context, from cluster.Member, partition int, after string) (page Page, err error) {
	path := fmt.Sprintf("/partition/%d?after=%s", partition, url.QueryEscape(after))
	answer, content, err := p.ask(ctx, http.MethodGet, from, path, nil, nil, maxPage)
	if err != nil {
		return Page{}, err
	}
	if start := answer.Get(startHeader); start != startText(from) {
		return Page{}, fmt.Errorf("start %q answers, not %s", start, startText(from))
	}
	if err := json.Unmarshal(content, &page); err != nil {
		return Page{}, fmt.Errorf("decoding a page: %w", err)
	}
	return page, nil
}

func replicaPath(partition int, key string) string {
	return "/replica/" + strconv.Itoa(partition) + "?key=" + url.QueryEscape(key)
}

// ask sends a request, and returns the answer if it has at most a number of bytes.
func (p *Peers) ask(ctx context.Context, method string, to cluster.Member, path string, header http.Header, body []byte, limit int64) (http.Header, []byte, error) {
	if to.HTTPAddr == "" {
		return nil, nil, fmt.Errorf("%q has no HTTP address", to.ID)
	}
	ctx, cancel := context.WithTimeout(ctx, p.patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, "http://"+to.HTTPAddr+path, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	if header != nil {
		request.Header = header
	}
	response, err := p.client.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	if response.StatusCode >= 300 {
		reason, _ := io.ReadAll(io.LimitReader(response.Body, 512)) // the text is for people
		return nil, nil, fmt.Errorf("status %d: %s", response.StatusCode, strings.TrimSpace(string(reason)))
	}
	content, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	if err == nil && int64(len(content)) > limit {
		err = fmt.Errorf("an answer of more than %d bytes", limit)
	}
	return response.Header, content, err
}
