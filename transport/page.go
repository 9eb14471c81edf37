package transport

import (
	"bytes"
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"runtime"
	"runtime/debug"
	"strconv"
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
	entries := make([]entry, 0, 3+len(page.Assets))
	entries = append(entries, entry{http.MethodGet, "/{$}", h.page}, entry{http.MethodPost, "/{$}", h.pageAct}, entry{http.MethodGet, "/map.png", h.pageMap})
	for _, a := range page.Assets {
		entries = append(entries, entry{http.MethodGet, "/" + a.Name, func(w http.ResponseWriter, r *http.Request) error {
			if r.URL.RawQuery == "v="+page.AssetsVersion {
				w.Header().Set("Cache-Control", "private, max-age=86400, immutable")
			}
			body, err := zippedFor(w, r, a.Content)
			if err != nil {
				return err
			}
			lease := h.lease(r)
			defer lease.end()
			return h.written(w, r, lease, a.ContentType, body)
		}})
	}
	return entries
}

// page answers browsers with the status page. Others get the refusal of an unknown path.
func (h *Handler) page(w http.ResponseWriter, r *http.Request) error {
	varies(w)
	if accepts(r, html) == 0 {
		return notFound(w, r)
	}
	values, err := parseQuery(r)
	if err != nil {
		return err
	}
	return h.showPage(w, r, values, http.StatusOK, h.chosen(w, r, values))
}

// varies says on which headers the answer at the path of the page depends.
func varies(w http.ResponseWriter) { w.Header().Set("Vary", "Accept, Accept-Encoding") }

// showPage writes the page with the answers to the forms in the values.
func (h *Handler) showPage(w http.ResponseWriter, r *http.Request, values url.Values, status int, act *page.Act) error {
	lease := h.lease(r)
	defer lease.end()
	rendering := 4 * h.sizes.of(r)
	if err := lease.resize(w, rendering); err != nil {
		return err
	}
	view := h.cluster.View()
	in := page.Input{
		Now: time.Now(), Version: version(), GoVersion: runtime.Version(), Scheme: "http",
		Health: h.healthOf(view), Members: membersOf(view), Lost: h.lost(), Highlight: values.Get("member"), AllMembers: values.Get("members") == "all",
		Act: act,
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
	var err error
	if in.What, err = h.whatIf(w, r, lease, view, values, in.Members); err != nil {
		return err
	}
	var body bytes.Buffer
	if err := page.Render(&body, in); err != nil {
		return err
	}
	h.sizes.set(r, body.Len())
	w.Header().Set("Content-Security-Policy", page.Policy)
	// With no-referrer a browser would hide the origin of the page's own forms.
	w.Header().Set("Referrer-Policy", "same-origin")
	zipped, err := zippedFor(w, r, body.Bytes())
	if err != nil {
		return err
	}
	if err := lease.resize(w, int64(len(zipped))); err != nil {
		return err
	}
	wire.Write(w, r, status, html+"; charset=utf-8", zipped)
	return nil
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
		if err != nil || !hasPartition(view, p) {
			look.Refusal = unknownPartition(view, partition)
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
func (h *Handler) whatIf(w http.ResponseWriter, r *http.Request, l *lease, view route.View, values url.Values, members []api.Member) (what page.What, err error) {
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
	after, plan, err := h.planned(w, r, l, view, change, 0)
	if refusal, ok := errors.AsType[*api.Refusal](err); ok {
		what.Refusal = refusal
		return what, nil
	} else if err != nil {
		return what, err
	}
	what.Plan, what.After = &plan, after
	return what, nil
}

// pageMap answers with the map of the partitions.
func (h *Handler) pageMap(w http.ResponseWriter, r *http.Request) error {
	values, err := parseQuery(r)
	if err != nil {
		return err
	}
	lease := h.lease(r)
	defer lease.end()
	if err := lease.resize(w, mapBytes); err != nil {
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
	return h.written(w, r, lease, "image/png", body.Bytes())
}

// mapBytes is about what drawing a map takes: a byte for each of 65,536 pixels, and the
// buffers of the compression.
const mapBytes = 1 << 20

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
