package browser_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/membership/memnet"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/route"
)

var pictures = flag.Bool("pictures", false, "write the pictures of docs/status-page")

// tab is a browser tab whose console is kept.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	problems []string
}

func open(t *testing.T) *tab {
	t.Helper()
	program := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil && program == "" {
			program = path
		}
	}
	if program == "" {
		t.Skip("chromium is not installed")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(1280, 1000),
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.WSURLReadTimeout(time.Minute))
	allocator, end := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(end)
	b := &tab{t: t}
	ctx, cancel := chromedp.NewContext(allocator, chromedp.WithListener(func(event any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			b.problems = append(b.problems, fmt.Sprintf("%s %+v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception))
		case *log.EventEntryAdded:
			if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
				b.problems = append(b.problems, e.Entry.Text+" "+e.Entry.URL)
			}
		}
	}))
	t.Cleanup(cancel)
	b.ctx = ctx
	b.do(chromedp.Navigate("about:blank"))
	call(b, log.Enable, cdp.Empty{})
	return b
}

func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	require.NoError(b.t, chromedp.Do(b.ctx, actions...))
}

// get runs an action that returns a value.
func get[T any](b *tab, action chromedp.Action[T]) T {
	b.t.Helper()
	value, err := chromedp.Run(b.ctx, action)
	require.NoError(b.t, err)
	return value
}

// eval evaluates an expression in the page.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	return get(b, chromedp.Evaluate[T](expression))
}

// call sends a command of the protocol.
func call[P, R any](b *tab, command cdp.Command[P, R], params P) {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, command, params)
	require.NoError(b.t, err)
}

// in shows the page in light or dark.
func (b *tab) in(scheme string) {
	b.t.Helper()
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
}

func (b *tab) await(what, expression string) {
	b.t.Helper()
	// While a page loads, parts of it are not there yet, and an evaluation may end early.
	guarded := chromedp.Evaluate[bool](`(() => { try { return Boolean(` + expression + `) } catch { return false } })()`)
	require.Eventually(b.t, func() bool { ok, err := chromedp.Run(b.ctx, guarded); return err == nil && ok }, 30*time.Second, 20*time.Millisecond, what)
}

// quiet requires that the console has no error.
func (b *tab) quiet() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	require.Empty(b.t, b.problems)
}

// fleet starts members with gossip in memory and HTTP over sockets.
func fleet(t *testing.T, n int) (all []*cluster.Cluster, network *memnet.Network) {
	t.Helper()
	return guarded(t, n, transport.GuardOptions{}, slog.DiscardHandler)
}

// guarded starts members as fleet does, with a guard.
func guarded(t *testing.T, n int, guard transport.GuardOptions, log slog.Handler) (all []*cluster.Cluster, network *memnet.Network) {
	t.Helper()
	network, err := memnet.New(memnet.Options{})
	require.NoError(t, err)
	for i := range n {
		c, err := cluster.New(cluster.Options{
			ClusterName: "orders", NodeID: fmt.Sprint("orders-", i+1), Region: "eu", Zone: "eu-1" + string(rune('a'+i%3)),
			GossipAddr: fmt.Sprintf("10.0.0.%d:7946", i+1), Seeds: []string{"10.0.0.1:7946"}, HTTPAddr: "127.0.0.1:0",
			Gossip: membership.GossipOptions{Network: network, Profile: membership.Local}, HTTP: cluster.HTTPOptions{Guard: guard}, Logger: slog.New(log),
		})
		require.NoError(t, err)
		t.Cleanup(func() {
			ended, cancel := context.WithCancel(context.Background())
			cancel()
			_ = c.Stop(ended) // does not wait
		})
		require.NoError(t, c.Start(t.Context()))
		all = append(all, c)
	}
	require.Eventually(t, func() bool {
		for _, c := range all {
			if h := c.Health(); !h.Ready || !h.Agreed || h.Members != n {
				return false
			}
		}
		return true
	}, 30*time.Second, 10*time.Millisecond)
	return all, network
}

// TestThePageFollowsTheCluster: it shows a member that dies, without a reload, and keeps
// what the reader has typed.
func TestThePageFollowsTheCluster(t *testing.T) {
	b := open(t)
	all, network := fleet(t, 4)
	b.do(chromedp.Navigate("http://" + all[0].HTTPAddr() + "/"))
	b.await("the stream is open", `document.getElementById('live').textContent.includes('live')`)
	require.Equal(t, 4, eval[int](b, `document.querySelectorAll('#members tbody tr').length`))
	b.do(chromedp.SendKeys(chromedp.CSS(`input[name=key]`), "user:4"))
	network.Crash(all[3].Local().Addr)
	require.Eventually(t, func() bool { return len(all[0].Members()) == 3 }, 30*time.Second, time.Millisecond)
	known := time.Now()
	b.await("the lost member is shown as lost", `document.querySelector('#members tr.lost th')?.textContent === 'orders-4'`)
	t.Logf("shown %v after the member knew", time.Since(known).Round(time.Millisecond))
	require.Equal(t, "user:4", eval[string](b, `document.querySelector('input[name=key]').value`))
	require.Equal(t, "key", eval[string](b, `document.activeElement.name`), "the focus stays")
	b.quiet()
}

// TestThePageByKeyboard: the forms and the links can be used without a mouse.
func TestThePageByKeyboard(t *testing.T) {
	b := open(t)
	all, _ := fleet(t, 4)
	b.do(chromedp.Navigate("http://" + all[0].HTTPAddr() + "/"))
	b.do(chromedp.KeyEvent(kb.Tab))
	require.Equal(t, "Skip to the content", eval[string](b, `document.activeElement.textContent`))
	b.tabTo("key")
	b.do(chromedp.KeyEvent("user:42"), chromedp.KeyEvent(kb.Enter))
	b.await("the owners of the key", `document.querySelector('#look ol')?.children.length === 3 && document.querySelector('#look .why') !== null`)
	b.tabTo("change")
	b.do(chromedp.KeyEvent("D")) // Drain a member
	b.tabTo("id")
	b.do(chromedp.KeyEvent("orders-2"))
	b.tabTo("Compute")
	b.do(chromedp.KeyEvent(kb.Enter))
	b.await("the plan", `document.querySelector('#what td')?.textContent !== undefined && document.querySelector('#what').textContent.includes('would move')`)
	require.Equal(t, "drain", eval[string](b, `document.querySelector('select[name=change]').value`))
	b.tabTo("orders-3")
	b.do(chromedp.KeyEvent(kb.Enter))
	b.await("the map of one member", `document.querySelector('#map').textContent.includes('Partitions of orders-3')`)
	b.quiet()
}

// TestThePageWithoutJavaScript shows everything, and its forms work.
func TestThePageWithoutJavaScript(t *testing.T) {
	b := open(t)
	all, _ := fleet(t, 3)
	call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	b.do(chromedp.Navigate("http://" + all[0].HTTPAddr() + "/?key=user:42&change=lose&zone=eu/eu-1a"))
	text := get(b, chromedp.Text(chromedp.CSS("main")))
	for _, want := range []string{"All members agree", "orders-3", "token", "would move", "member-joined"} {
		require.Contains(t, text, want)
	}
	b.quiet()
}

// still is a cluster of a given size that does not change.
type still struct{ view route.View }

func (s still) View() route.View { return s.view }
func (s still) Health() api.Health {
	return api.Health{Ready: true, Healthy: true, Agreed: true, State: "active", Members: len(s.view.Members), Fingerprint: s.view.Fingerprint}
}

func (s still) EventsAfter(string) ([]api.Event, <-chan struct{}) {
	return []api.Event{{ID: "a-1", Kind: "member-joined", At: time.Now(), Text: "orders-0002 joined and is active", Member: "orders-0002"}}, nil
}

// still can be acted on, and nothing changes it.
func (still) LifecycleState() string          { return "active" }
func (still) Drain(context.Context) error     { return nil }
func (still) Resume(context.Context) error    { return nil }
func (still) Forget(string) bool              { return false }
func (still) AcceptLoss(int) bool             { return false }
func (still) InstallKey([]byte) (bool, error) { return false, nil }
func (still) UseKey([]byte) (bool, error)     { return false, nil }
func (still) RemoveKey([]byte) (bool, error)  { return false, nil }

func serve(t *testing.T, members, partitions int) string {
	t.Helper()
	nodes := make([]ring.Node, members)
	v := route.View{ClusterName: "orders", NodeID: "orders-0000", Configuration: "rf3:rendezvous/1"}
	for i := range nodes {
		nodes[i] = ring.Node{ID: fmt.Sprintf("orders-%04d", i), Region: "eu", Zone: "eu-1" + string(rune('a'+i%3))}
		v.Members = append(v.Members, membership.Member{ID: nodes[i].ID, Region: "eu", Zone: nodes[i].Zone, Weight: 1, State: membership.Active, HTTPAddr: fmt.Sprintf("10.0.%d.%d:8080", i/250, i%250)})
	}
	r, err := ring.Build(ring.Config{PartitionCount: partitions, ReplicationFactor: 3, Strategy: rebalance.Rendezvous{}}, nodes)
	require.NoError(t, err)
	v.Ring, v.Fingerprint = r, r.Fingerprint()
	guard, err := transport.NewGuard(transport.GuardOptions{Tokens: []transport.Credential{{Token: func() string { return token }, Read: true, Write: true}}})
	require.NoError(t, err)
	// The guard adds who may act. A request without a token is admitted too.
	optional := func(next http.Handler) http.Handler {
		checked := guard.Wrap(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") == "" {
				next.ServeHTTP(w, r)
				return
			}
			checked.ServeHTTP(w, r)
		})
	}
	h, err := transport.NewHandler(still{v}, transport.HandlerOptions{Middleware: []func(http.Handler) http.Handler{optional}})
	require.NoError(t, err)
	srv := httptest.NewServer(h)
	t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	return srv.URL
}

// TestThePageOfAnySize renders without an error of the console, also on a phone, where it
// is not wider than the screen.
func TestThePageOfAnySize(t *testing.T) {
	b := open(t)
	for _, size := range [][2]int{{3, 4096}, {100, 4096}, {1000, 65_536}} {
		url := serve(t, size[0], size[1])
		for _, width := range []int64{1280, 360} {
			b.do(chromedp.EmulateViewport(width, 900), chromedp.Navigate(url+"/?key=a&change=drain&id=orders-0001"))
			b.await("the map is there", `document.getElementById('map-img').naturalWidth > 0`)
			require.LessOrEqual(t, eval[int](b, `document.documentElement.scrollWidth`), int(width), "%v", size)
			b.do(chromedp.Navigate(url + "/"))
			b.await("the first paint is known", `performance.getEntriesByName('first-contentful-paint').length > 0`)
			t.Logf("%v members and partitions, %d pixels wide: first paint after %.0f ms, %d bytes of the page", size, width,
				eval[float64](b, `performance.getEntriesByName('first-contentful-paint')[0].startTime`),
				eval[int](b, `[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource').filter((r) => /page\.(css|js)/.test(r.name))].reduce((n, r) => n + r.transferSize, 0)`))
		}
	}
	b.quiet()
}

// TestThePageIsAccessible asks axe-core, where npm can install it.
func TestThePageIsAccessible(t *testing.T) {
	script := axe(t)
	b := open(t)
	url := serve(t, 12, 512)
	b.sign(token)
	for _, scheme := range []string{"light", "dark"} {
		for _, target := range []string{"/?key=a&change=drain&id=orders-0001", "/?key=&change=drain&id=nobody&member=orders-0002", "/?act=drain", "/?act=forget"} {
			b.in(scheme)
			b.do(chromedp.Navigate(url+target), chromedp.Evaluate[chromedp.Void](script))
			found := get(b, chromedp.Evaluate[[]violation](`axe.run().then((r) => r.violations.map((v) => ({ ID: v.id, Impact: v.impact, Help: v.help + ': ' + v.nodes[0].html })))`, chromedp.EvalAwaitPromise))
			require.Empty(t, found, "%s %s", scheme, target)
		}
	}
}

type violation struct{ ID, Impact, Help string }

// axe returns the source of axe-core.
func axe(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("npm"); err != nil {
		t.Skip("npm is not installed")
	}
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", dir, "axe-core@4.14.1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("npm cannot install axe-core: %v\n%s", err, out)
	}
	source, err := os.ReadFile(filepath.Join(dir, "node_modules", "axe-core", "axe.min.js"))
	require.NoError(t, err)
	return string(source) + ";0"
}

// TestPictures writes the pictures of the documentation.
func TestPictures(t *testing.T) {
	if !*pictures {
		t.Skip("-pictures writes the pictures of docs/status-page")
	}
	b := open(t)
	all, network := guarded(t, 7, mayWrite(), slog.DiscardHandler)
	b.sign(token)
	network.Crash(all[6].Local().Addr)
	require.Eventually(t, func() bool { return len(all[0].Members()) == 6 && all[0].Health().Agreed }, 30*time.Second, 10*time.Millisecond)
	large := serve(t, 1000, 65_536)
	for _, p := range []struct {
		name, url, element, scheme string
		width                      int64
	}{
		{"overview", "http://" + all[0].HTTPAddr() + "/", "", "light", 1280},
		{"overview", "http://" + all[0].HTTPAddr() + "/", "", "dark", 1280},
		{"lookup", "http://" + all[0].HTTPAddr() + "/?key=user:42", "#look", "light", 1280},
		{"lookup", "http://" + all[0].HTTPAddr() + "/?key=user:42", "#look", "dark", 1280},
		{"what-if", "http://" + all[0].HTTPAddr() + "/?change=drain&id=orders-2", "#what", "light", 1280},
		{"what-if", "http://" + all[0].HTTPAddr() + "/?change=drain&id=orders-2", "#what", "dark", 1280},
		{"actions", "http://" + all[0].HTTPAddr() + "/?act=drain", "#act", "light", 1280},
		{"actions", "http://" + all[0].HTTPAddr() + "/?act=drain", "#act", "dark", 1280},
		{"map-65536", large + "/?member=orders-0007", "#map", "light", 600},
		{"map-65536", large + "/?member=orders-0007", "#map", "dark", 600},
		{"phone", "http://" + all[0].HTTPAddr() + "/", "", "dark", 380},
	} {
		b.in(p.scheme)
		b.do(chromedp.EmulateViewport(p.width, 1400), chromedp.Navigate(p.url))
		b.await("the map is there", `document.getElementById('map-img').naturalWidth > 0`)
		var picture []byte
		if p.element == "" {
			picture = get(b, chromedp.CaptureScreenshot())
		} else {
			picture = get(b, chromedp.Screenshot(chromedp.CSS(p.element)))
		}
		file := filepath.Join("..", "..", "docs", "status-page", p.name+"-"+p.scheme+".png")
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, fewColours(t, picture), 0o600))
	}
}

// fewColours makes a picture small: the page has few colours.
func fewColours(t *testing.T, picture []byte) []byte {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(picture))
	require.NoError(t, err)
	count := make(map[color.RGBA]int)
	box := img.Bounds()
	full := image.NewRGBA(box)
	draw.Draw(full, box, img, box.Min, draw.Src)
	for y := box.Min.Y; y < box.Max.Y; y++ {
		for x := box.Min.X; x < box.Max.X; x++ {
			count[full.RGBAAt(x, y)]++
		}
	}
	var palette color.Palette
	for len(palette) < 256 && len(count) > 0 {
		best, most := color.RGBA{}, -1
		for c, n := range count {
			if n > most {
				best, most = c, n
			}
		}
		palette = append(palette, best)
		delete(count, best)
	}
	small := image.NewPaletted(box, palette)
	draw.Draw(small, box, full, box.Min, draw.Src)
	var out bytes.Buffer
	require.NoError(t, (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, small))
	return out.Bytes()
}
