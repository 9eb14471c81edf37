package transport_test

import (
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
	"github.com/clusterkit/clusterkit/transport/route"
)

// figures is a source with fixed values.
type figures transport.Metrics

func (f *figures) Metrics() transport.Metrics { return transport.Metrics(*f) }

// newFigures returns figures with at least one series of every family.
func newFigures() *figures {
	f := &figures{
		ClusterName: "orders", NodeID: "n1", Region: "eu", Zone: "eu-1a", Configuration: "rf3:balanced/1",
		Ready: true, Problems: problems(), State: membership.Active,
		Members: []membership.Member{
			{ID: "n1", Region: "eu", Zone: "eu-1a", State: membership.Active},
			{ID: "n2", Region: "eu", Zone: "eu-1a", State: membership.Active},
			{ID: "n3", Region: "eu", Zone: "eu-1b", State: membership.Draining},
		},
		Partitions: 64, ReplicationFactor: 3, Primaries: 20, Replicas: 41,
		ViewVersion: 7, ViewSince: time.Unix(1_700_000_000, 0), Fingerprint: 0x97963692abf3e9c6,
		RingChanges: 5, Moves: 300, Rebuilds: 6, RebuildTime: 3 * time.Millisecond, LastRebuildTime: 400 * time.Microsecond,
		LastSync: time.Unix(1_700_000_100, 500_000_000),
		HTTP:     handlerStats(2),
		Guard:    transport.GuardCounts{Limited: 4, Unauthorized: 5, ReloadFailures: 6},
		Server:   transport.ServerStats{Connections: 9, MaxConnections: 4096, CertificateExpires: time.Unix(1_800_000_000, 0), ReloadFailures: 1},
	}
	f.HTTP.Lookups = 3
	lookup, other := &f.HTTP.Routes[0], &f.HTTP.Routes[1]
	lookup.Method, lookup.Route = "GET", "/v1/lookup"
	lookup.Answers, lookup.Durations, lookup.Duration = [6]uint64{0, 0, 3, 0, 1, 1}, [9]uint64{1, 2, 0, 0, 0, 0, 0, 0, 2}, 2*time.Second
	other.Method, other.Route = "other", "none"
	other.Answers, other.Durations, other.Duration = [6]uint64{0, 0, 0, 0, 2, 0}, [9]uint64{2}, time.Millisecond
	f.Gossip.Keys = 2
	f.Gossip.Joined, f.Gossip.Failed, f.Gossip.Lost, f.Gossip.LostLately = 3, 1, 1, 1
	return f
}

// problems returns the problems that rules and documents name; "zones" is there now.
func problems() map[string]bool {
	all := map[string]bool{"zones": true}
	for _, code := range []string{
		"isolated", "minority", "duplicate", "superseded", "no-seed-reached", "refused", "unreachable-address", "address-conflict",
		"udp-blocked", "tcp-blocked", "pair-blocked", "discovery", "zone-lost",
	} {
		all[code] = false
	}
	return all
}

// handlerStats returns counts of a few routes.
func handlerStats(routes int) (s transport.HandlerStats) {
	s.Routes = slices.Grow(s.Routes, routes)[:routes]
	return s
}

// gather collects from collectors, like a scrape.
func gather(t testing.TB, collectors ...prometheus.Collector) []*dto.MetricFamily {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	for _, c := range collectors {
		require.NoError(t, registry.Register(c))
	}
	families, err := registry.Gather()
	require.NoError(t, err)
	return families
}

// text returns the answer to a scrape.
func text(t testing.TB, families []*dto.MetricFamily) string {
	t.Helper()
	var b strings.Builder
	for _, family := range families {
		_, err := expfmt.MetricFamilyToText(&b, family)
		require.NoError(t, err)
	}
	return b.String()
}

// everything returns the families of all collectors.
func everything(t testing.TB) []*dto.MetricFamily {
	t.Helper()
	return gather(t, transport.NewCollector(newFigures()), transport.NewRouterCollector(newRouterOf(t)))
}

// fixed is a view of a cluster that never changes.
type fixed struct{ view route.View }

func (f fixed) View() route.View         { return f.view }
func (f fixed) Changed() <-chan struct{} { return nil }

// newRouterOf returns a router that has answered one request without a key.
func newRouterOf(t testing.TB) *route.Router {
	t.Helper()
	rt, err := route.New(fixed{view: route.View{ClusterName: "orders", NodeID: "n1"}}, http.NotFoundHandler(), route.Options{
		Service: "kv", Key: func(*http.Request) (string, bool) { return "", false }, Logger: testkit.Quiet(),
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, rt.Close()) })
	require.Equal(t, 404, call(rt, "GET", "/free", "").Code)
	return rt
}

func TestMetricsGolden(t *testing.T) {
	versions := regexp.MustCompile(`goversion="go1[^"]+",version="[^"]*"`)
	golden(t, "metrics.txt", versions.ReplaceAllString(text(t, everything(t)), `goversion="go1.26.0",version="v0.1.0"`))
}

func TestMetricsFollowPrometheusConventions(t *testing.T) {
	problems, err := promlint.NewWithMetricFamilies(everything(t)).Lint()
	require.NoError(t, err)
	require.Empty(t, problems)
	for _, family := range everything(t) {
		require.True(t, strings.HasPrefix(family.GetName(), "clusterkit_"), family.GetName())
		require.True(t, strings.HasSuffix(family.GetHelp(), "."), "%s: %s", family.GetName(), family.GetHelp())
	}
}

// Every described metric is collected when it has a value.
func TestEveryFamilyHasSeries(t *testing.T) {
	var names []string
	for _, family := range everything(t) {
		names = append(names, family.GetName())
	}
	for _, c := range []prometheus.Collector{transport.NewCollector(newFigures()), transport.NewRouterCollector(newRouterOf(t))} {
		for _, name := range described(c) {
			require.Contains(t, names, name)
		}
	}
}

func described(c prometheus.Collector) (names []string) {
	ch := make(chan *prometheus.Desc)
	go func() {
		c.Describe(ch)
		close(ch)
	}()
	for desc := range ch {
		_, rest, _ := strings.Cut(desc.String(), `fqName: "`)
		name, _, _ := strings.Cut(rest, `"`)
		names = append(names, name)
	}
	return names
}

// Every field of Metrics changes at least one series.
func TestNoFigureIsLeftOut(t *testing.T) {
	base := func() *transport.Metrics {
		return &transport.Metrics{
			Problems: map[string]bool{"zones": false}, Members: make([]membership.Member, 1),
			HTTP: handlerStats(1),
		}
	}
	show := func(m *transport.Metrics) string {
		// Without members there is no series for a place.
		if m.Members[0].State == 0 {
			m.Members[0].State = membership.Active
		}
		m.HTTP.Routes[0].Answers[2]++ // … nor for a route without requests
		return text(t, gather(t, transport.NewCollector((*figures)(m))))
	}
	plain := show(base())
	skipped := []string{"Spread.Zones", "Spread.Regions"} // members are counted by zone
	var leaves int
	each(reflect.TypeFor[transport.Metrics](), "", func(path string, reach func(reflect.Value) reflect.Value) {
		leaves++
		m := base()
		set(t, path, reach(reflect.ValueOf(m).Elem()))
		require.Equal(t, slices.Contains(skipped, path), plain == show(m), path)
	})
	require.Greater(t, leaves, 60)
	m := base()
	m.Problems["zones"] = true
	require.NotEqual(t, plain, show(m))
}

// each visits every number, text and flag within a value.
func each(of reflect.Type, path string, visit func(path string, reach func(reflect.Value) reflect.Value)) {
	inner := func(path string, to reflect.Type, step func(reflect.Value) reflect.Value) {
		each(to, strings.TrimPrefix(path, "."), func(path string, reach func(reflect.Value) reflect.Value) {
			visit(path, func(v reflect.Value) reflect.Value { return reach(step(v)) })
		})
	}
	switch {
	case of == reflect.TypeFor[time.Time]():
		visit(path, func(v reflect.Value) reflect.Value { return v })
	case of == reflect.TypeFor[membership.Member](): // counted by place and state, and no more
		for _, name := range []string{"Region", "Zone", "State"} {
			field, _ := of.FieldByName(name)
			inner(path+"."+name, field.Type, func(v reflect.Value) reflect.Value { return v.FieldByName(name) })
		}
	case of == reflect.TypeFor[[]int](): // counted
		visit(path, func(v reflect.Value) reflect.Value { return v })
	case of.Kind() == reflect.Struct:
		for i := range of.NumField() {
			inner(path+"."+of.Field(i).Name, of.Field(i).Type, func(v reflect.Value) reflect.Value { return v.Field(i) })
		}
	case of.Kind() == reflect.Array:
		for i := range of.Len() {
			inner(fmt.Sprintf("%s[%d]", path, i), of.Elem(), func(v reflect.Value) reflect.Value { return v.Index(i) })
		}
	case of.Kind() == reflect.Slice:
		inner(path+"[]", of.Elem(), func(v reflect.Value) reflect.Value { return v.Index(0) })
	case of.Kind() != reflect.Map:
		visit(path, func(v reflect.Value) reflect.Value { return v })
	}
}

func set(t *testing.T, path string, v reflect.Value) {
	t.Helper()
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Unix(1, 0)))
	case v.Type() == reflect.TypeFor[[]int]():
		v.Set(reflect.ValueOf([]int{7}))
	case v.Type() == reflect.TypeFor[membership.State]():
		v.SetUint(uint64(membership.Observer))
	case v.CanInt():
		v.SetInt(5)
	case v.CanUint():
		v.SetUint(5 << 20)
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.Kind() == reflect.String:
		v.SetString("something")
	default:
		require.Fail(t, "of no kind known here", "%s is %v", path, v.Type())
	}
}

// The announcements of members can neither fill the memory of the monitoring nor make a
// scrape fail.
func TestSeriesAreBounded(t *testing.T) {
	const bound = 1100 // as docs/metrics.md says
	f := newFigures()
	f.Members = nil
	var want int
	for i := range 10_000 {
		m := membership.Member{Region: fmt.Sprintf("region-%d", i%7), Zone: fmt.Sprintf("host-%05d", i), State: membership.State(i%5 + 1)}
		f.Members = append(f.Members, m, m, m)
		want += 3
	}
	f.Members = append(f.Members,
		membership.Member{Region: "other", Zone: "other", State: membership.Active},
		membership.Member{Zone: "\xff\xfe", State: membership.Active},
		membership.Member{Zone: "\xfe\xff", State: membership.Active}, // looks the same
		membership.Member{Zone: "a zone \"quoted\"\nin two lines", State: membership.Active},
		membership.Member{Zone: "of no state"},
	)
	want += 4
	f.NodeID, f.Zone, f.ClusterName = "\xff", "\xff", "\xff"
	h := testkit.NewHandler(testkit.NewCluster(t))
	for _, method := range []string{"GET", "HEAD", "POST", "BREW", "DELETE"} {
		for _, path := range []string{"/", "/metrics", "/v1/lookup?key=k", "/v1/partitions/1", "/v1/partitions/x", "/v1/health", "/v1/../x"} {
			for i := range 20 {
				call(h, method, strings.Replace(path, "x", fmt.Sprint("x", i), 1), "")
			}
		}
	}
	f.HTTP = h.Stats()
	for i := range f.HTTP.Routes { // every possible answer
		f.HTTP.Routes[i].Answers = [6]uint64{1, 1, 1, 1, 1, 1}
	}
	families := gather(t, transport.NewCollector(f), transport.NewRouterCollector(newRouterOf(t)))
	got := 0
	for _, family := range families {
		if family.GetName() == "clusterkit_members" {
			require.Len(t, family.GetMetric(), 64*6)
			for _, m := range family.GetMetric() {
				got += int(m.GetGauge().GetValue())
			}
		}
	}
	require.Equal(t, want, got, "nobody is left out")
	lines := 0
	for line := range strings.Lines(text(t, families)) {
		if !strings.HasPrefix(line, "#") {
			lines++
		}
	}
	t.Log(lines, "series")
	require.LessOrEqual(t, lines, bound)
}

// BenchmarkCollect measures a scrape without HTTP, of a cluster of 1000 members in 12
// zones.
func BenchmarkCollect(b *testing.B) {
	f := newFigures()
	f.Members = nil
	for i := range 12 {
		m := membership.Member{Region: "eu", Zone: fmt.Sprint("z", i), State: membership.Active}
		f.Members = append(f.Members, slices.Repeat([]membership.Member{m}, 83)...)
	}
	f.HTTP = testkit.NewHandler(testkit.NewCluster(b)).Stats()
	registry := prometheus.NewRegistry()
	registry.MustRegister(transport.NewCollector(f))
	b.ReportAllocs()
	for b.Loop() {
		_, err := registry.Gather()
		require.NoError(b, err)
	}
}
