package transport

import (
	"bytes"
	"compress/gzip"
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/page"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
	"github.com/clusterkit/clusterkit/transport/route"
)

const html = "text/html"

// pageEntries are the routes of the status page. They are for people, and not part of the
// OpenAPI document.
func (h *Handler) pageEntries() []entry {
	entries := make([]entry, 0, 2+len(page.Assets))
	entries = append(entries, entry{http.MethodGet, "/{$}", h.page}, entry{http.MethodGet, "/map.png", h.pageMap})
	for _, a := range page.Assets {
		entries = append(entries, entry{http.MethodGet, "/" + a.Name, func(w http.ResponseWriter, r *http.Request) error {
			if r.URL.RawQuery == "v="+page.AssetsVersion {
				w.Header().Set("Cache-Control", "private, max-age=86400, immutable")
			}
			return writeZipped(w, r, a.ContentType, a.Content)
		}})
	}
	return entries
}

// page answers browsers with the status page. Others get the refusal of an unknown path.
func (h *Handler) page(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Vary", "Accept, Accept-Encoding")
	if accepts(r, html) == 0 {
		return notFound(w, r)
	}
	values, err := parseQuery(r)
	if err != nil {
		return err
	}
	view := h.cluster.View()
	in := page.Input{
		Now: time.Now(), Version: version(), GoVersion: runtime.Version(), Scheme: "http",
		Health: h.healthOf(view), Members: membersOf(view), Highlight: values.Get("member"), AllMembers: values.Get("members") == "all",
	}
	if r.TLS != nil {
		in.Scheme = "https"
	}
	if source, ok := h.cluster.(eventSource); ok {
		in.Events, _ = source.EventsAfter("")
	}
	if source, ok := h.cluster.(metricsSource); ok {
		if state := source.Metrics().Handoff; !reflect.ValueOf(state).IsZero() {
			in.Handoff = &state
		}
	}
	if view.Ring.Len() > 0 {
		table, err := h.tables.of(view)
		if err != nil {
			return err
		}
		in.Table = &table.document
	}
	in.Look = h.look(view, values)
	if in.What, err = h.whatIf(r, view, values, in.Members); err != nil {
		return err
	}
	var body bytes.Buffer
	if err := page.Render(&body, in); err != nil {
		return err
	}
	w.Header().Set("Content-Security-Policy", page.Policy)
	w.Header().Set("Referrer-Policy", "no-referrer")
	return writeZipped(w, r, html+"; charset=utf-8", body.Bytes())
}

// look answers the form for looking a key or a partition up.
func (h *Handler) look(view route.View, values url.Values) (look page.Look) {
	look.Key = values.Get("key")
	partition := values.Get("partition")
	switch {
	case !values.Has("key") && partition == "":
		return look
	case view.Ring.Len() == 0:
		look.Refusal = wire.WithoutRing()
		return look
	case partition != "":
		p, err := strconv.Atoi(partition)
		if err != nil || p < 0 || p >= view.Ring.PartitionCount() {
			look.Refusal = wire.New(wire.UnknownPartition, http.StatusNotFound, "there is no partition %s: partitions go from 0 to %d", wire.Brief(partition), view.Ring.PartitionCount()-1)
			return look
		}
		a := answers(view, nil).Placement(view.Ring.Placement(p))
		look.Answer = &a
	default:
		if look.Refusal = wire.CheckKey(look.Key); look.Refusal == nil {
			a := answers(view, nil).Placement(view.Ring.Lookup(look.Key))
			look.Answer = &a
		}
	}
	return look
}

// whatIf answers the form for a change.
func (h *Handler) whatIf(r *http.Request, view route.View, values url.Values, members []api.Member) (what page.What, err error) {
	what = page.What{Change: values.Get("change"), ID: values.Get("id"), Region: values.Get("region"), Zone: values.Get("zone"), Weight: values.Get("weight")}
	if what.Change == "" {
		return what, nil
	}
	change, problem := what.Asked(members)
	switch {
	case problem != "":
		what.Refusal = wire.New(wire.Change, http.StatusBadRequest, "%s", problem)
		return what, nil
	case view.Ring.Len() == 0:
		what.Refusal = wire.WithoutRing()
		return what, nil
	}
	to, plan, err := h.planned(r, view, change)
	if refusal, ok := errors.AsType[*api.Refusal](err); ok {
		what.Refusal = refusal
		return what, nil
	} else if err != nil {
		return what, err
	}
	plan.Moves = nil
	what.Plan, what.After = &plan, summarize(to).Nodes
	return what, nil
}

// pageMap answers with the map of the partitions.
func (h *Handler) pageMap(w http.ResponseWriter, r *http.Request) error {
	values, err := parseQuery(r)
	if err != nil {
		return err
	}
	view, err := h.serving(w)
	if err != nil {
		return err
	}
	table, err := h.tables.of(view)
	if err != nil {
		return err
	}
	var body bytes.Buffer
	if err := page.WriteMap(&body, &table.document, values.Get("member")); err != nil {
		return err
	}
	if values.Get("v") == view.Fingerprint.String() {
		w.Header().Set("Cache-Control", "private, max-age=86400, immutable")
	}
	wire.Write(w, r, http.StatusOK, "image/png", body.Bytes())
	return nil
}

// writeZipped writes a body, compressed where the caller takes that.
func writeZipped(w http.ResponseWriter, r *http.Request, contentType string, body []byte) error {
	if takesGzip(r) {
		var zipped bytes.Buffer
		z := gzip.NewWriter(&zipped)
		_, _ = z.Write(body) // a buffer takes everything
		if err := z.Close(); err != nil {
			return err
		}
		w.Header().Set("Content-Encoding", "gzip")
		body = zipped.Bytes()
	}
	wire.Write(w, r, http.StatusOK, contentType, body)
	return nil
}

// takesGzip reports whether a request names gzip in Accept-Encoding, without weight zero.
func takesGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(strings.Join(r.Header["Accept-Encoding"], ","), ",") {
		name, weight, _ := strings.Cut(strings.ReplaceAll(part, " ", ""), ";")
		if strings.EqualFold(name, "gzip") {
			q, err := strconv.ParseFloat(strings.TrimPrefix(weight, "q="), 64)
			return weight == "" || err == nil && q > 0
		}
	}
	return false
}

// version returns the version of this module in the program, as far as the program knows.
func version() string {
	const module = "github.com/clusterkit/clusterkit"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "(unknown)"
	}
	if info.Main.Path == module {
		return info.Main.Version
	}
	for _, d := range info.Deps {
		if d.Path == module {
			return d.Version
		}
	}
	return "(unknown)"
}
