package browser_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/transport"
)

const token = "0123456789abcdef0123"

// mayWrite admits a token of both scopes.
func mayWrite() transport.GuardOptions {
	return transport.GuardOptions{Tokens: []transport.Credential{{Token: func() string { return token }, Name: "the browser", Read: true, Write: true}}}
}

// sign makes the browser send a token with each request, as it does after a person has
// entered it as a password.
func (b *tab) sign(token string) {
	b.t.Helper()
	call(b, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: map[string]any{"Authorization": "Bearer " + token}})
}

// record keeps what members log.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *record) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(b)
}

func (r *record) count(text string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Count(r.text.String(), text)
}

// tabTo presses the tab key until an element with this name or text has the focus.
func (b *tab) tabTo(is string) {
	b.t.Helper()
	for range 100 {
		b.do(chromedp.KeyEvent(kb.Tab))
		if eval[bool](b, `(document.activeElement.name || document.activeElement.textContent.trim()) === '`+is+`'`) {
			return
		}
	}
	require.FailNow(b.t, "no way by keyboard to "+is)
}

// TestTheActionsByKeyboard: each is chosen, confirmed and done without a mouse, with scripts
// and without, and the log names the caller.
func TestTheActionsByKeyboard(t *testing.T) {
	for _, scripts := range []bool{true, false} {
		t.Run(fmt.Sprint("scripts ", scripts), func(t *testing.T) {
			b := open(t)
			var log record
			all, network := guarded(t, 4, mayWrite(), slog.NewTextHandler(&log, nil))
			call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !scripts})
			b.sign(token)
			url := "http://" + all[0].HTTPAddr() + "/"
			b.do(chromedp.Navigate(url))

			b.tabTo("Drain orders-1…")
			b.do(chromedp.KeyEvent(kb.Enter))
			b.await("the question", `document.getElementById('ask-h')?.textContent === 'Drain orders-1?'`)
			require.Equal(t, "active", all[0].Local().State.String(), "a question changes nothing")
			b.tabTo("Cancel")
			b.do(chromedp.KeyEvent(kb.Enter))
			b.await("no question", `document.getElementById('ask-h') === null && location.search === ''`)

			confirm := func(link, title, outcome string) {
				t.Helper()
				b.tabTo(link)
				b.do(chromedp.KeyEvent(kb.Enter))
				b.await("the question", `document.getElementById('ask-h')?.textContent === '`+title+`?'`)
				b.tabTo(title)
				b.do(chromedp.KeyEvent(kb.Enter))
				b.await("the outcome", `document.querySelector('#act [role=status]')?.textContent.includes('`+outcome+`')`)
			}
			confirm("Drain orders-1…", "Drain orders-1", "drain: done.")
			require.NotEqual(t, "active", all[0].Local().State.String())
			confirm("Resume orders-1…", "Resume orders-1", "resume: done.")
			require.Eventually(t, func() bool { return all[0].Local().State.String() == "active" }, 30*time.Second, 10*time.Millisecond)

			network.Crash(all[3].Local().Addr)
			isCrashed := func(m membership.Member) bool { return m.ID == "orders-4" }
			require.Eventually(t, func() bool { return !slices.ContainsFunc(all[0].Members(), isCrashed) }, 30*time.Second, 10*time.Millisecond)
			if !scripts {
				b.do(chromedp.Navigate(url))
			}
			b.await("the lost member is offered", `document.getElementById('act').textContent.includes('Forget orders-4…')`)
			confirm("Forget orders-4…", "Forget orders-4", "forget: done.")
			b.do(chromedp.Navigate(url + "?act=forget&subject=orders-4#act"))
			b.tabTo("Forget orders-4")
			b.do(chromedp.KeyEvent(kb.Enter))
			b.await("the outcome", `document.querySelector('#act [role=status]')?.textContent.includes('nothing had to change')`)

			for action, times := range map[string]int{"drain": 1, "resume": 1, "forget": 2} {
				require.Equal(t, times, log.count(`msg="the action is done" action=`+action+` caller="token the browser"`), "%s: %s", action, log.text.String())
			}
			b.quiet()
		})
	}
}

// TestTheActionsWithoutTheScope are not offered.
func TestTheActionsWithoutTheScope(t *testing.T) {
	b := open(t)
	guard := mayWrite()
	guard.Tokens[0].Write = false
	all, _ := guarded(t, 1, guard, slog.DiscardHandler)
	b.sign(token)
	b.do(chromedp.Navigate("http://" + all[0].HTTPAddr() + "/?act=drain"))
	require.Contains(t, get(b, chromedp.Text(chromedp.CSS("#act"))), "You may not act")
	require.Equal(t, 0, eval[int](b, `document.querySelectorAll('#act a, #act form').length`))
	require.Equal(t, "active", all[0].Local().State.String())
	b.quiet()
}
