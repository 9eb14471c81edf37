package transport

import (
	"errors"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// NewCollector returns a collector of all figures of a source, such as a
// cluster.Cluster. Every series has the label cluster. Register it with any registry:
//
//	registry.MustRegister(transport.NewCollector(c))
//
// The method Metrics of the source returns the present figures. It is called once for every
// scrape, concurrently. It must be fast and must not block. ClusterName must be the same each
// time. [Handler] serves the same figures at /metrics. Several members of one cluster in one
// process need one registry each, or prometheus.WrapRegistererWith and a label that
// distinguishes them. Members in different processes are distinguished by the scraper's label
// instance.
//
// The number of series is bounded, whatever members announce: see docs/metrics.md.
func NewCollector(source interface{ Metrics() Metrics }) prometheus.Collector {
	return newCollector(source, allFamilies())
}

// family is one metric: its name, help and type, and the function that makes its series
// from a value of T.
type family[T any] struct {
	name   string // without the prefix
	help   string
	kind   prometheus.ValueType // the names of the labels
	labels []string
	series func(m *T, s series)
}

const metricPrefix = "clusterkit_"

// series emits the series of one family.
type series struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	ch   chan<- prometheus.Metric
}

// value emits a gauge or a counter.
func (s series) value(v float64, labels ...string) {
	s.ch <- prometheus.MustNewConstMetric(s.desc, s.kind, v, labelValues(labels)...)
}

func (s series) flag(v bool, labels ...string) {
	if v {
		s.value(1, labels...)
	} else {
		s.value(0, labels...)
	}
}

// time emits a time in seconds since 1970, and nothing for the zero time.
func (s series) time(t time.Time) {
	if !t.IsZero() {
		s.value(float64(t.UnixNano()) / 1e9)
	}
}

// total emits a count of events and their total duration.
func (s series) total(count uint64, took time.Duration) {
	s.ch <- prometheus.MustNewConstSummary(s.desc, count, took.Seconds(), nil)
}

// histogram emits counts by duration. The counts are not cumulative, and the last one
// is for durations above all bounds.
func (s series) histogram(bounds []time.Duration, counts []uint64, took time.Duration, labels ...string) {
	buckets, sum := make(map[float64]uint64, len(bounds)), uint64(0)
	for i, bound := range bounds {
		sum += counts[i]
		buckets[bound.Seconds()] = sum
	}
	s.ch <- prometheus.MustNewConstHistogram(s.desc, sum+counts[len(bounds)], took.Seconds(), buckets, labels...)
}

// labelValues makes valid label values for Prometheus: other members may announce any
// text.
func labelValues(labels []string) []string {
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

// Describe implements prometheus.Collector.
func (c *collector[T]) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector. A panic of the source becomes an error of
// the scrape.
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

// now reads the source, and recovers from a panic. The registry calls collectors in its
// own goroutines, where a panic would end the process.
func (c *collector[T]) now() (m T, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("transport: the source of the metrics panicked")
		}
	}()
	return c.read(), nil
}
