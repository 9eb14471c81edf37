package transport_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/client"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
)

func TestTheDocumentIsServed(t *testing.T) {
	w := call(testkit.NewHandler(testkit.NewCluster(t)), "GET", "/v1/openapi.json", "")
	require.Equal(t, 200, w.Code)
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	text, err := os.ReadFile("openapi.json")
	require.NoError(t, err)
	require.Equal(t, string(text), w.Body.String())
	require.Equal(t, "3.1.0", openAPI().root["openapi"])
	srv, _ := testkit.Serve(t, testkit.NewHandler(testkit.NewCluster(t)), transport.ServerOptions{})
	c := testkit.NewClient(t, client.Options{URLs: []string{"http://" + srv.Addr().String()}})
	got, err := c.OpenAPI(t.Context())
	require.NoError(t, err)
	require.JSONEq(t, string(text), string(got))
}

// TestTheDocumentHoldsTogether: every reference resolves, no component is unused, every
// operation has a name of its own.
func TestTheDocumentHoldsTogether(t *testing.T) {
	text, err := os.ReadFile("openapi.json")
	require.NoError(t, err)
	for kind, components := range openAPI().root["components"].(object) {
		for name := range components.(object) {
			if kind != "securitySchemes" {
				require.Contains(t, string(text), fmt.Sprintf(`"$ref": "#/components/%s/%s"`, kind, name), "nobody uses it")
			}
		}
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case object:
			if _, ok := v["$ref"]; ok {
				require.NotPanics(t, func() { openAPI().resolve(v) })
			}
			for _, inner := range v {
				walk(inner)
			}
		case []any:
			for _, inner := range v {
				walk(inner)
			}
		}
	}
	walk(openAPI().root)
	tags := make(map[any]bool)
	for _, tag := range openAPI().root["tags"].([]any) {
		tags[tag.(object)["name"]] = true
	}
	names := make(map[any]bool)
	for _, op := range operations() {
		id := op.doc["operationId"]
		require.NotEmpty(t, id)
		require.False(t, names[id], id)
		names[id] = true
		require.NotEmpty(t, op.doc["summary"], id)
		require.NotEmpty(t, op.doc["description"], id)
		require.Len(t, op.doc["tags"], 1, id)
		for _, tag := range op.doc["tags"].([]any) {
			require.Contains(t, tags, tag, id)
		}
		for template := range strings.SplitSeq(op.path, "/") {
			if name, ok := strings.CutPrefix(template, "{"); ok {
				require.Contains(t, op.parameters("path"), strings.TrimSuffix(name, "}"))
			}
		}
	}
}

// operation is an operation of the document.
type operation struct {
	method, path string
	doc          object
}

func (o operation) String() string { return o.method + " " + o.path }

func operations() (all []operation) {
	for path, item := range openAPI().root["paths"].(object) {
		for method, doc := range item.(object) {
			all = append(all, operation{strings.ToUpper(method), path, doc.(object)})
		}
	}
	slices.SortFunc(all, func(a, b operation) int { return strings.Compare(a.String(), b.String()) })
	return all
}

// parameters returns the parameters of the query or of the path, by name.
func (o operation) parameters(in string) map[string]object {
	found := make(map[string]object)
	for _, p := range asList(o.doc["parameters"]) {
		if p := openAPI().resolve(p); p["in"] == in {
			found[p["name"].(string)] = p
		}
	}
	return found
}

func asList(v any) []any { l, _ := v.([]any); return l }

// target returns the URL of the example, with the required parameters only.
func (o operation) target() string {
	path := o.path
	for name, p := range o.parameters("path") {
		path = strings.ReplaceAll(path, "{"+name+"}", fmt.Sprint(p["example"]))
	}
	for name, p := range o.parameters("query") {
		if p["required"] == true {
			path += "?" + name + "=" + p["example"].(string)
		}
	}
	return path
}

// body returns the body of the example, or an empty text.
func (o operation) body(t *testing.T) string {
	request := openAPI().resolve(o.doc["requestBody"])
	if request == nil {
		return ""
	}
	schema, example, err := openAPI().content(request, "application/json")
	require.NoError(t, err)
	require.NoError(t, openAPI().check(schema, example, o.String()))
	text, err := json.Marshal(example)
	require.NoError(t, err)
	return string(text)
}

func TestTheDocumentHasTheRoutes(t *testing.T) {
	var documented []string
	for _, op := range operations() {
		documented = append(documented, op.String())
	}
	require.ElementsMatch(t, testkit.NewHandler(testkit.NewCluster(t)).Routes(), documented)
}

// TestTheDocumentHasTheParameters: a parameter of the document may be given once, and
// other parameters are ignored.
func TestTheDocumentHasTheParameters(t *testing.T) {
	h := testkit.NewHandler(testkit.NewCluster(t))
	all := make(map[string]bool)
	for _, op := range operations() {
		for name := range op.parameters("query") {
			all[name] = true
		}
	}
	require.Len(t, all, 7)
	for _, op := range operations() {
		known := op.parameters("query")
		for name := range all {
			_, documented := known[name]
			separator := "?"
			if strings.Contains(op.target(), "?") {
				separator = "&"
			}
			w := call(h, op.method, op.target()+separator+name+"=true&"+name+"=true", op.body(t))
			require.Equal(t, documented, w.Code == 400, "%s: %s: %s", op, name, w.Body)
		}
		for name, p := range known {
			if p["required"] == true {
				w := call(h, op.method, op.path, op.body(t))
				require.Equal(t, 400, w.Code)
				require.Contains(t, w.Body.String(), `"parameter":"`+name+`"`)
			}
			if p["schema"].(object)["type"] == "boolean" {
				without := call(h, op.method, op.target(), op.body(t)).Body.String()
				with := call(h, op.method, op.target()+"?"+name+"="+fmt.Sprint(p["schema"].(object)["default"]), op.body(t)).Body.String()
				require.Equal(t, without, with, "%s: the default of %s", op, name)
			}
		}
	}
}

// situation is a request and a state of the cluster that lead to one status.
type situation struct {
	handler      func(t *testing.T) http.Handler // nil: a cluster without changes
	target, body string                          // empty: those of the example
	headers      []string
}

// situations lead to each documented status. The situations of one operation are under
// its name.
func situations(t *testing.T) map[string]situation {
	with := func(change func(c *testkit.Cluster)) func(t *testing.T) http.Handler {
		return func(t *testing.T) http.Handler {
			c := testkit.NewCluster(t)
			change(c)
			return testkit.NewHandler(c)
		}
	}
	behind := func(o transport.GuardOptions) func(t *testing.T) http.Handler {
		return func(t *testing.T) http.Handler {
			h, _ := testkit.Guarded(t, o)
			return h
		}
	}
	unready := with(func(c *testkit.Cluster) {
		c.Condition.Ready, c.Condition.Healthy, c.Condition.Agreed = false, false, false
		c.Condition.LastSync = c.Condition.LastSync.AddDate(-3000, 0, 0) // a time that JSON cannot hold
		c.Condition.Problems = []api.Problem{
			{Code: "isolated", Message: "5 of 6 probes failed: check the network", Unready: true, Critical: true},
			{Code: "disagreement", Message: "n3 differs"},
		}
		c.Condition.Differing = []api.Differing{{ID: "n3", Reason: "has not answered"}}
	})
	all := map[string]situation{
		"200": {}, "401": {handler: behind(transport.GuardOptions{Tokens: testkit.Tokens()})},
		"403": {handler: behind(transport.GuardOptions{Tokens: testkit.Tokens()}), headers: []string{"Authorization: Bearer " + testkit.WriteToken}},
		"429": {handler: func(t *testing.T) http.Handler {
			h, _ := testkit.Guarded(t, transport.GuardOptions{PerClient: transport.RateLimit{PerSecond: 1, Burst: 1}})
			require.Equal(t, 200, call(h, "GET", "/v1/ring", "").Code)
			return h
		}},
		"500":                         {handler: with(func(c *testkit.Cluster) { c.Boom = "boom" })},
		"503":                         {handler: with(func(c *testkit.Cluster) { c.Shown.Ring = nil })},
		"415":                         {headers: []string{"Content-Type: text/plain"}},
		"408":                         {body: "slow"},
		"GET /readyz 400":             {target: "/readyz?verbose=perhaps"},
		"GET /readyz 503":             {handler: unready},
		"GET /v1/health 503":          {handler: unready},
		"GET /v1/table 304":           {headers: []string{`If-None-Match: "` + testkit.NewCluster(t).Shown.Fingerprint.String() + `"`}},
		"GET /v1/table 400":           {target: "/v1/table?wait=1h"},
		"GET /v1/events 503":          {handler: full, headers: []string{"Accept: text/event-stream"}},
		"GET /v1/members 503":         {handler: overloaded},
		"GET /metrics 503":            {handler: overloaded},
		"GET /v1/lookup 400":          {target: "/v1/lookup"},
		"GET /v1/partitions/{id} 400": {target: "/v1/partitions/x"},
		"GET /v1/partitions/{id} 404": {target: "/v1/partitions/99"},
		"POST /v1/lookup 400":         {body: `{"keys":["a",""]}`},
		"POST /v1/lookup 413":         {handler: small, body: `{"keys":["a","b","c"]}`},
		"POST /v1/plan 400":           {body: `{"kind":1}`},
		"POST /v1/plan 413":           {handler: small, body: `{"remove":["a","b"],"drain":["c"]}`},
		"POST /v1/plan 422":           {body: `{"remove":["nobody"]}`},

		"POST /v1/accept-loss 404": {body: `{"member":"n1","partition":8}`},
		"POST /v1/accept-loss 409": {body: `{"member":"n2","partition":3}`},
	}
	for _, op := range operations() {
		if !op.acts() {
			continue
		}
		all[op.String()+" 400"] = situation{body: `{"kind":1}`}
		all[op.String()+" 403"] = situation{
			handler: behind(transport.GuardOptions{Tokens: testkit.Tokens()}), headers: []string{"Authorization: Bearer " + testkit.ReadToken},
		}
		all[op.String()+" 413"] = situation{body: `{"member":"` + strings.Repeat("n", 1<<20) + `"}`}
		if _, ok := all[op.String()+" 409"]; !ok && op.path != "/v1/forget" {
			all[op.String()+" 409"] = situation{body: strings.Replace(op.body(t), "n1", "n2", 1)}
		}
	}
	return all
}

// acts reports whether the operation is an action.
func (o operation) acts() bool {
	return o.doc["responses"].(object)["413"] != nil && o.doc["parameters"] == nil && o.path != "/v1/lookup"
}

// small is a handler that accepts only few keys and changes.
func small(t *testing.T) http.Handler {
	t.Helper()
	return testkit.MakeHandler(testkit.NewCluster(t), transport.HandlerOptions{Logger: testkit.Quiet(), MaxKeys: 2, MaxChanges: 2})
}

// overloaded is a handler whose answers hold all the memory they may.
func overloaded(t *testing.T) http.Handler {
	t.Helper()
	h := testkit.MakeHandler(testkit.NewCluster(t), transport.HandlerOptions{Logger: testkit.Quiet(), MaxAnswerBytes: 1 << 20})
	transport.Fill(h)
	return h
}

// full is a handler at which one request waits, and no more may.
func full(t *testing.T) http.Handler {
	t.Helper()
	h := testkit.MakeHandler(testkit.NewCluster(t), transport.HandlerOptions{Logger: testkit.Quiet(), MaxWaiting: 1})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/events", nil)
	r.Header.Set("Accept", "text/event-stream")
	go func() {
		defer close(ended)
		h.ServeHTTP(httptest.NewRecorder(), r)
	}()
	t.Cleanup(func() { cancel(); <-ended })
	synctest.Wait()
	return h
}

// TestTheDocumentHasTheAnswers causes every status of every operation, and compares the
// answer with the example, byte for byte except for blanks.
func TestTheDocumentHasTheAnswers(t *testing.T) {
	known := situations(t)
	used := make(map[string]bool)
	synctest.Test(t, func(t *testing.T) {
		for _, op := range operations() {
			for status := range op.doc["responses"].(object) {
				name := op.String() + " " + status
				s, ok := known[name]
				if !ok {
					name = status
					s, ok = known[name]
				}
				require.True(t, ok, "%s %s: nobody knows how to bring it about", op, status)
				used[name] = true
				op.requireAnswer(t, status, s)
			}
		}
	})
	require.ElementsMatch(t, slices.Collect(maps.Keys(known)), slices.Collect(maps.Keys(used)), "all situations are documented")
}

func (o operation) requireAnswer(t *testing.T, status string, s situation) {
	t.Helper()
	h := http.Handler(testkit.NewHandler(testkit.NewCluster(t)))
	if s.handler != nil {
		h = s.handler(t)
	}
	if s.target == "" {
		s.target = o.target()
	}
	if s.body == "" {
		s.body = o.body(t)
	}
	if o.acts() && status != "401" && status != "403" && status != "429" {
		// The caller may act, over TLS.
		h = testkit.NewGuard(t, transport.GuardOptions{Tokens: testkit.Tokens()}).Wrap(h)
		s.headers = append(s.headers, "Authorization: Bearer "+testkit.WriteToken)
		s.target = "https://example.com" + s.target
	}
	var w *httptest.ResponseRecorder
	if s.body == "slow" {
		r := httptest.NewRequest(o.method, s.target, iotest.ErrReader(os.ErrDeadlineExceeded))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+testkit.WriteToken)
		w = httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.NoError(t, openAPI().checkAnswer(o.method, r.URL.Path, w.Code, w.Header(), w.Body.Bytes()))
	} else {
		w = call(h, o.method, s.target, s.body, s.headers...)
	}
	require.Equal(t, status, fmt.Sprint(w.Code), "%s: %s", o, w.Body)
	response := openAPI().resolve(o.doc["responses"].(object)[status])
	if response["content"] == nil {
		return
	}
	_, example, err := openAPI().content(response, w.Header().Get("Content-Type"))
	require.NoError(t, err)
	switch example := example.(type) {
	case nil:
		require.Contains(t, []string{"/v1/openapi.json", "/metrics"}, o.path, "%s %s has no example", o, status)
	case string:
		require.Equal(t, example, w.Body.String(), o)
	default:
		text, err := json.Marshal(example)
		require.NoError(t, err)
		require.JSONEq(t, string(text), w.Body.String(), "%s %s", o, status)
	}
}

// TestTheDocumentHasTheFields compares every schema with its Go type.
func TestTheDocumentHasTheFields(t *testing.T) {
	types := map[string]any{
		"Owner": api.Owner{}, "LookupAnswer": api.Placement{}, "PlacementAnswer": api.Placement{},
		"BatchRequest": struct {
			Keys []string `json:"keys"`
		}{},
		"TableAnswer": api.Placements{}, "Endpoint": api.Endpoint{}, "PlacementTable": api.PlacementTable{}, "PlacementNode": api.PlacementNode{},
		"EventsAnswer": api.Events{}, "Event": api.Event{}, "EventHealth": api.EventHealth{}, "HandoffState": api.HandoffState{},
		"BatchAnswer": api.Batch{}, "BatchIDsAnswer": api.BatchIDs{}, "LookupIDsAnswer": api.PlacementIDs{}, "Group": api.Group{},
		"PlanRequest": rebalance.Change{}, "PlanNode": ring.Node{}, "PlanAnswer": api.Plan{},
		"Rezone": rebalance.Rezone{}, "Reweight": rebalance.Reweight{}, "NodeChange": rebalance.NodeChange{}, "Move": rebalance.Move{},
		"HealthAnswer": api.Health{}, "HealthProblem": api.Problem{}, "DifferingMember": api.Differing{},
		"MembersAnswer": api.Members{}, "MemberInfo": api.Member{}, "LostMember": api.LostMember{},
		"RingAnswer": api.Ring{}, "TableInfo": api.Table{}, "SpreadInfo": ring.Spread{}, "NodeInfo": api.Node{},
		"Problem": api.Refusal{}, "ActionResult": api.ActionResult{},
		"DrainRequest": struct {
			Member string `json:"member"`
		}{},
		"ForgetRequest": struct {
			ID string `json:"id"`
		}{},
		"AcceptLossRequest": struct {
			Member    string `json:"member"`
			Partition int    `json:"partition"`
		}{},
		"KeyRequest": struct {
			Member string `json:"member"`
			Key    string `json:"key"`
		}{},
	}
	var plain []string
	for name, schema := range openAPI().root["components"].(object)["schemas"].(object) {
		s := schema.(object)
		if s["type"] != "object" {
			plain = append(plain, name)
			continue
		}
		require.Contains(t, types, name)
		always, sometimes := jsonFields(reflect.TypeOf(types[name]))
		switch name { // in answers to lookups there is always a key
		case "LookupAnswer":
			always = append(always, "key")
			fallthrough
		case "PlacementAnswer":
			sometimes = slices.DeleteFunc(sometimes, func(name string) bool { return name == "key" })
		}
		require.ElementsMatch(t, append(always, sometimes...), slices.Collect(maps.Keys(s["properties"].(object))), name)
		if s["additionalProperties"] != false { // a request may omit fields that its type never omits
			require.ElementsMatch(t, always, list(s["required"]), name)
		}
	}
	require.ElementsMatch(t, []string{"Fingerprint", "Token"}, plain)
}

func jsonFields(of reflect.Type) (always, sometimes []string) {
	for f := range of.Fields() {
		if f.Anonymous {
			a, s := jsonFields(f.Type)
			always, sometimes = append(always, a...), append(sometimes, s...)
			continue
		}
		name, option, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-": // this field is not part of the document
		case option != "":
			sometimes = append(sometimes, name)
		default:
			always = append(always, name)
		}
	}
	return always, sometimes
}

// TestTheServerIsWhereTheHandlerIsMounted: a reader of the document resolves the address of
// the server against that of the document.
func TestTheServerIsWhereTheHandlerIsMounted(t *testing.T) {
	server := openAPI().root["servers"].([]any)[0].(object)["url"].(string)
	for document, want := range map[string]string{
		"http://10.0.0.1:8080/v1/openapi.json":        "http://10.0.0.1:8080/",
		"https://example.org/cluster/v1/openapi.json": "https://example.org/cluster/",
	} {
		at, err := url.Parse(document)
		require.NoError(t, err)
		base, err := at.Parse(server)
		require.NoError(t, err)
		require.Equal(t, want, base.String())
	}
}
