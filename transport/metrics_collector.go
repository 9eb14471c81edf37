package transport

import (
	"errors"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// NewCollector returns a collector of everything that a source knows, such as a
// cluster.Cluster, with the label cluster on every series, to be registered wherever you
// please:
//
//	registry.MustRegister(transport.NewCollector(c))
//
// Metrics returns the values of now. It is called once for every scrape, concurrently;
// it must be cheap and must not block. ClusterName must be the same each time.
// [Handler] serves the same at /metrics. Members of one cluster in one process need registries
// of their own, or prometheus.WrapRegistererWith and a label that tells them
// apart: on every other machine the scraper's instance does.
//
// The number of series is bounded, whatever members announce: see
// docs/metrics.md.
func NewCollector(source interface{ Metrics() Metrics }) prometheus.Collector {
	return newCollector(source, allFamilies())
}

// family is one metric: what it is, and how its series come out of a value of T.
type family[T any] struct {
	name   string // without the prefix
	help   string
	kind   prometheus.ValueType // of the values it emits
	labels []string
	series func(m *T, s series)
}

const metricPrefix = "clusterkit_"

// series takes the series of one family.
type series struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	ch   chan<- prometheus.Metric
}

// value emits a gauge or a counter.
func (s series) value(v float64, labels ...string) {
	s.ch <- prometheus.MustNewConstMetric(s.desc, s.kind, v, printable(labels)...)
}

func (s series) flag(v bool, labels ...string) {
	if v {
		s.value(1, labels...)
	} else {
		s.value(0, labels...)
	}
}

// time emits a moment in seconds since 1970, and nothing for the zero time.
func (s series) time(t time.Time) {
	if !t.IsZero() {
		s.value(float64(t.UnixNano()) / 1e9)
	}
}

// total emits how often something has taken place and how long in all.
func (s series) total(count uint64, took time.Duration) {
	s.ch <- prometheus.MustNewConstSummary(s.desc, count, took.Seconds(), nil)
}

// histogram emits counts by duration; those are not cumulative, and the last is
// of what is above all bounds.
func (s series) histogram(bounds []time.Duration, counts []uint64, took time.Duration, labels ...string) {
	buckets, sum := make(map[float64]uint64, len(bounds)), uint64(0)
	for i, bound := range bounds {
		sum += counts[i]
		buckets[bound.Seconds()] = sum
	}
	s.ch <- prometheus.MustNewConstHistogram(s.desc, sum+counts[len(bounds)], took.Seconds(), buckets, labels...)
}

// printable makes labels that Prometheus takes: what others announce may be
// anything.
func printable(labels []string) []string {
	for i, label := range labels {
		labels[i] = strings.ToValidUTF8(label, "\uFFFD")
	}
	return labels
}

type metricsSource interface{ Metrics() Metrics }

// collector collects the families of values of T.
type collector[T any] struct {
	read     func() T
	families []family[T]
	descs    []*prometheus.Desc
}

func newCollector(source metricsSource, families []family[Metrics]) *collector[Metrics] {
	return collectorOf(source.Metrics, families, prometheus.Labels{"cluster": source.Metrics().ClusterName})
}

func collectorOf[T any](read func() T, families []family[T], constant prometheus.Labels) *collector[T] {
	c := &collector[T]{read: read, families: families}
	for name, value := range constant {
		constant[name] = strings.ToValidUTF8(value, "\uFFFD")
	}
	for _, f := range families {
		c.descs = append(c.descs, prometheus.NewDesc(metricPrefix+f.name, f.help, f.labels, constant))
	}
	return c
}

// Describe is prometheus.Collector's.
func (c *collector[T]) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		ch <- d
	}
}

// Collect is prometheus.Collector's. A source that panics becomes an error of the
// scrape.
func (c *collector[T]) Collect(ch chan<- prometheus.Metric) {
	m, err := c.now()
	if err != nil {
		ch <- prometheus.NewInvalidMetric(c.descs[0], err)
		return
	}
	for i, f := range c.families {
		f.series(&m, series{c.descs[i], f.kind, ch})
	}
}

// now reads the source. The registry calls collectors in goroutines of its own,
// where a panic would end the process.
func (c *collector[T]) now() (m T, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("transport: the source of the metrics panicked")
		}
	}()
	return c.read(), nil
}
