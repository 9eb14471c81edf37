package transport

import (
	"bytes"
	"fmt"
	"net/http"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
)

// handlerSource is a source with the figures of the cluster, if it has any, and the
// handler's own counts of HTTP requests.
type handlerSource struct{ h *Handler }

func (s handlerSource) Metrics() Metrics {
	var m Metrics
	if source, ok := s.h.cluster.(metricsSource); ok {
		m = source.Metrics()
	} else {
		view := s.h.cluster.View()
		m.ClusterName, m.NodeID = view.ClusterName, view.NodeID
	}
	m.HTTP = s.h.Stats()
	return m
}

// metrics serves /metrics. It has a registry of its own, so that it serves only the
// collectors that were registered with the handler.
type metrics struct {
	registry *prometheus.Registry

	mu   sync.Mutex
	open bool // the handler's own collector is registered
}

// openMetrics registers the handler's own collector at its first call. NewHandler does
// not do so, because the collector asks the cluster, which may not be complete then.
func (h *Handler) openMetrics() error {
	h.metrics.mu.Lock()
	defer h.metrics.mu.Unlock()
	if h.metrics.open {
		return nil
	}
	families := httpFamilies
	if _, ok := h.cluster.(metricsSource); ok {
		families = allFamilies()
	}
	if err := h.metrics.registry.Register(newCollector(handlerSource{h}, families)); err != nil {
		return fmt.Errorf("transport: registering metrics: %w", err)
	}
	h.metrics.open = true
	return nil
}

// RegisterMetrics adds a collector to /metrics: one of [NewRouterCollector], of the Go
// runtime, or of your own. It returns an error when a name is already in use. The
// collector is called for every scrape, concurrently. When it fails, this is logged and
// the metrics of the others are served.
func (h *Handler) RegisterMetrics(c prometheus.Collector) error {
	if err := h.openMetrics(); err != nil {
		return err
	}
	if err := h.metrics.registry.Register(c); err != nil {
		return fmt.Errorf("transport: registering metrics: %w", err)
	}
	return nil
}

// expose answers a scrape, in the text format, which every scraper can read.
func (h *Handler) expose(w http.ResponseWriter, r *http.Request) error {
	lease := h.leaseOfScrapes(r)
	defer lease.end()
	// The figures take some times as much memory as their text.
	if err := lease.resize(w, 4*h.sizes.of(r)); err != nil {
		return err
	}
	if err := h.openMetrics(); err != nil {
		return err
	}
	families, err := h.metrics.registry.Gather()
	if err != nil {
		if len(families) == 0 {
			return fmt.Errorf("transport: collecting metrics: %w", err)
		}
		h.logger.ErrorContext(r.Context(), "some metrics cannot be collected", "error", err)
	}
	format := expfmt.NewFormat(expfmt.TypeTextPlain)
	var body bytes.Buffer
	encoder := expfmt.NewEncoder(&body, format)
	for _, family := range families {
		if err := encoder.Encode(family); err != nil {
			return fmt.Errorf("transport: encoding metrics: %w", err)
		}
	}
	h.sizes.set(r, body.Len())
	return h.written(w, r, lease, string(format), body.Bytes())
}
