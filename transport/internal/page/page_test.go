package page_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"image/png"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/page"
)

// input is a page of members in three zones, with three owners of each partition.
func input(members, partitions int) page.Input {
	table := api.PlacementTable{
		Strategy: "stairs/1", PartitionCount: partitions, ReplicationFactor: 3, Replicas: 3, Owners: make([]uint16, 0, 3*partitions),
	}
	in := page.Input{
		Now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Version: "v0.1.0", GoVersion: "go1.26", Scheme: "http",
		Health: api.Health{Ready: true, Healthy: true, Agreed: true, ClusterName: "orders", NodeID: "n0001", State: "active"},
		Table:  &api.Placements{ClusterName: "orders"},
	}
	for i := range members {
		m := api.Member{ID: fmt.Sprintf("n%04d", i), State: "active", Region: "eu", Zone: fmt.Sprint("z", i%3), Weight: 1, HTTPAddr: fmt.Sprintf("10.0.%d.%d:80", i/250, i%250)}
		in.Members = append(in.Members, m)
		table.Nodes = append(table.Nodes, api.PlacementNode{ID: m.ID, Region: m.Region, Zone: m.Zone, Weight: 1})
	}
	for p := range partitions {
		for i := range 3 {
			table.Owners = append(table.Owners, uint16((7*p+i)%members))
		}
	}
	in.Table.Serving = table
	return in
}

func render(t *testing.T, in page.Input) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, page.Render(&b, in))
	_, err := html.Parse(&b)
	require.NoError(t, err)
	b.Reset()
	require.NoError(t, page.Render(&b, in))
	return b.String()
}

// TestThePageOfAnySize: it renders, names the members, and is small to transfer.
func TestThePageOfAnySize(t *testing.T) {
	for _, size := range []struct{ members, partitions, rows int }{{3, 4096, 3}, {100, 4096, 100}, {1000, 4096, 100}, {3, 65_536, 3}, {1000, 65_536, 100}} {
		in := input(size.members, size.partitions)
		text := render(t, in)
		require.Equal(t, size.rows, strings.Count(text, `?member=n`), "%+v", size)
		if size.members > size.rows {
			require.Contains(t, text, "900 more members are active")
			in.AllMembers = true
			require.Equal(t, size.members, strings.Count(render(t, in), `?member=n`))
		}
		own := len(zipped(t, []byte(text)))
		for _, a := range page.Assets {
			own += len(zipped(t, a.Content))
		}
		require.Less(t, own, 100<<10, "%+v", size)
	}
	empty := page.Input{Health: api.Health{NodeID: "n1", ClusterName: "orders"}}
	require.Contains(t, render(t, empty), "There is no ring yet.")
}

func zipped(t *testing.T, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write(content)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.Bytes()
}

// TestThePageShowsWhatToLookAt: problems with their cures, members that differ, lost
// members first, partitions that lack owners, moves, possible losses, and the last events.
func TestThePageShowsWhatToLookAt(t *testing.T) {
	in := input(300, 512)
	in.Health.Ready, in.Health.Healthy, in.Health.Agreed = false, false, false
	in.Health.Problems = []api.Problem{{Code: "isolated", Message: "cut off: mend the network", Unready: true}, {Code: "zones", Message: "8 partitions"}}
	in.Health.Differing = []api.Differing{{ID: "n0007", Reason: "holds another list of members"}}
	in.Members[299].State = "draining"
	for i := range 150 {
		in.Events = append(in.Events, api.Event{ID: fmt.Sprint("x-", i), Kind: "member-updated", Member: "n0001", Text: fmt.Sprintf("event number %d.", i)})
	}
	in.Events = append(in.Events,
		api.Event{Kind: "member-failed", Member: "gone", Before: "active", Text: "gone has failed"})
	in.Lost = []api.LostMember{{ID: "gone", Zone: "z1", Since: in.Now.Add(-time.Hour)}}
	in.Handoff = &api.HandoffState{Receiving: 12, Lost: []int{17, 99}}
	target := in.Table.Serving
	target.Owners = append([]uint16{250, 251, 252}, target.Owners[3:]...)
	in.Table.Target = &target
	in.Table.Serving.Owners[3], in.Table.Serving.Owners[4], in.Table.Serving.Owners[5] = 0, 3, 6 // one zone
	text := render(t, in)
	for _, want := range []string{
		"Not ready", "2 problems", "Not agreed", "<strong>isolated</strong> (not ready): cut off: mend the network", "n0007</strong>: holds another list",
		"<strong>1 partitions</strong> have too few owners", `href="?partition=1#look"`,
		"partitions are moving", "<strong>2 partitions may have lost acknowledged writes:</strong>", `<a href="?partition=17#look">17</a>, <a href="?partition=99#look">99</a>`,
		"event number 149.", "gone has failed",
	} {
		require.Contains(t, text, want)
	}
	require.NotContains(t, text, "event number 49.", "the last 100")
	_, table, _ := strings.Cut(text, `id="members"`)
	rows := regexp.MustCompile(`<tr(?: class="lost")?><th scope="row">(?:<svg.*?</svg><a href="\?member=\w+#map">)?(\w+)`).FindAllStringSubmatch(table, 2)
	require.Equal(t, []string{"gone", "n0299"}, []string{rows[0][1], rows[1][1]})
}

// TestThePageTrustsNoText: what members and callers name themselves is shown as text, and
// cannot become a script or an address.
func TestThePageTrustsNoText(t *testing.T) {
	const evil = `"><script>alert(1)</script>`
	in := input(3, 8)
	in.Members[0].ID, in.Members[0].Zone, in.Members[0].HTTPAddr = evil, evil, "javascript:alert(1)//"
	in.Health.ClusterName, in.Health.Problems = evil, []api.Problem{{Code: evil, Message: evil}}
	in.Events = []api.Event{{Kind: evil, Member: evil, Text: evil}}
	in.Highlight = evil
	in.Look = page.Look{Key: evil, Refusal: &api.Refusal{Detail: evil}}
	in.What = page.What{Change: evil, ID: evil, Zone: evil, Weight: evil, Refusal: &api.Refusal{Detail: evil}}
	in.Act = &page.Act{Caller: evil, State: evil, Ask: &page.Ask{Kind: evil, Subject: evil}, Refusal: &api.Refusal{Detail: evil}, Result: &api.ActionResult{Action: evil, Detail: evil}}
	text := render(t, in)
	require.NotContains(t, text, "<script>")
	require.NotContains(t, text, `href="javascript:`)
	require.Equal(t, 1, strings.Count(text, "<script"), "the page's own")
}

// TestThePageNeedsNothingInline, as its policy forbids that, and every field has a label.
func TestThePageNeedsNothingInline(t *testing.T) {
	root, err := html.Parse(strings.NewReader(render(t, acting(&page.Ask{Kind: "drain"}))))
	require.NoError(t, err)
	ids := make(map[string]bool)
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		require.NotEqual(t, "style", n.Data)
		for _, a := range n.Attr {
			require.NotEqual(t, "style", a.Key, n.Data)
			require.False(t, strings.HasPrefix(a.Key, "on"), a.Key)
			if a.Key == "id" {
				require.False(t, ids[a.Val], "%s is there twice", a.Val)
				ids[a.Val] = true
			}
		}
		switch n.Data {
		case "input", "select":
			if !slices.Contains(n.Attr, html.Attribute{Key: "type", Val: "hidden"}) {
				require.Equal(t, "label", n.Parent.Data)
			}
		case "script":
			require.Nil(t, n.FirstChild)
		}
	}
	for n := range root.Descendants() {
		for _, a := range n.Attr {
			switch {
			case a.Key == "href" && strings.HasPrefix(a.Val, "#"):
				require.True(t, ids[a.Val[1:]], a.Val)
			case a.Key == "aria-labelledby":
				require.True(t, ids[a.Val], a.Val)
			}
		}
	}
}

// acting is a page whose reader may act, with an action to confirm.
func acting(ask *page.Ask) page.Input {
	in := input(3, 8)
	in.Lost = []api.LostMember{{ID: "n0009"}}
	in.Handoff = &api.HandoffState{Lost: []int{2, 5}}
	in.Act = &page.Act{Caller: "token deploys", State: "active", Ask: ask}
	return in
}

// TestTheActionsOfThePage are offered where they fit, to readers that may act, and each is
// confirmed in words of its own.
func TestTheActionsOfThePage(t *testing.T) {
	in := acting(nil)
	text := render(t, in)
	for _, want := range []string{"You act as token deploys", `href="?act=drain#act"`, `href="?act=forget&amp;subject=n0009#act"`, `href="?act=accept-loss&amp;subject=5#act"`} {
		require.Contains(t, text, want)
	}
	require.NotContains(t, text, `?act=resume`)
	require.NotContains(t, text, `method="post"`)
	in.Act.State = "draining"
	text = render(t, in)
	require.Contains(t, text, `?act=resume`)
	require.NotContains(t, text, `?act=drain`)

	for kind, want := range map[string]string{"drain": "n0001 owns 8 replicas of partitions", "resume": "own partitions again", "forget": "stop looking for it", "accept-loss": "nothing undoes that"} {
		text = render(t, acting(&page.Ask{Kind: kind, Subject: "7"}))
		require.Contains(t, text, want)
		require.Contains(t, text, `<input type="hidden" name="act" value="`+kind+`"><input type="hidden" name="subject" value="7"><input type="hidden" name="member" value="n0001">`)
	}
	for want, act := range map[string]page.Act{
		"done.": {Caller: "c", Result: &api.ActionResult{Action: "drain", Changed: true, Done: true}},
		"nothing had to change: it is draining already.": {Caller: "c", Result: &api.ActionResult{Action: "drain", Detail: "it is draining already", Done: true}},
		"it has not ended yet (deadline).":               {Caller: "c", Result: &api.ActionResult{Action: "drain", Detail: "deadline", Changed: true}},
		"Not done: not now":                              {Caller: "c", Refusal: &api.Refusal{Detail: "not now"}},
		"You may not act: actions are off.":              {Why: "actions are off", State: "active"},
	} {
		in.Act = &act
		text = render(t, in)
		require.Contains(t, text, want)
		require.Equal(t, act.Caller != "", strings.Contains(text, "?act="), want)
	}
	require.NotContains(t, render(t, input(3, 8)), `id="act"`, "a cluster that cannot be acted on")
}

// TestTheMap has a point for each partition, or for each few, in as many colours as there
// are primaries.
func TestTheMap(t *testing.T) {
	for _, size := range []struct{ members, partitions, side, colours, shades int }{
		{3, 1, 1, 1, 1}, {3, 4096, 64, 3, 2}, {60, 65_536, 256, 60, 3}, {100, 65_536, 256, 9, 3}, {1000, 65_536, 256, 9, 3}, {3, 65_537, 182, 3, 2}, {3, 1 << 20, 256, 3, 2},
	} {
		in := input(size.members, size.partitions)
		for highlight, colours := range map[string]int{"": size.colours, "n0001": size.shades, "nobody": 1} {
			var b bytes.Buffer
			require.NoError(t, page.WriteMap(&b, in.Table, highlight))
			img, err := png.Decode(&b)
			require.NoError(t, err)
			require.Equal(t, size.side, img.Bounds().Dx())
			seen := make(map[any]bool)
			for y := range size.side {
				for x := range size.side {
					if _, _, _, opaque := img.At(x, y).RGBA(); opaque > 0 {
						seen[img.At(x, y)] = true
					}
				}
			}
			require.Len(t, seen, colours, "%+v %s", size, highlight)
		}
	}
}

// TestTheFormForAChange: each kind becomes the change that it names.
func TestTheFormForAChange(t *testing.T) {
	in := input(6, 8)
	in.Members[0].State = "observer"
	for want, form := range map[string]page.What{
		`{"add":[{"id":"x","region":"eu","zone":"z1","weight":3}]}`: {Change: "add", ID: " x ", Zone: "eu/z1", Weight: "3"},
		`{"remove":["n0001"]}`:                     {Change: "remove", ID: "n0001"},
		`{"drain":["n0001"]}`:                      {Change: "drain", ID: "n0001", Zone: "eu/z1"},
		`{"reweight":[{"id":"n0001","weight":2}]}`: {Change: "reweigh", ID: "n0001", Weight: "2"},
		`{"remove":["n0003"]}`:                     {Change: "lose", Zone: "eu/z0"},
	} {
		change, problem := form.Asked(in.Members)
		require.Empty(t, problem)
		text, err := json.Marshal(change)
		require.NoError(t, err)
		require.JSONEq(t, want, string(text))
	}
	for want, form := range map[string]page.What{
		"must be add, remove, drain, reweigh or lose": {Change: "x", ID: "n"},
		"must be a whole number":                      {Change: "reweigh", ID: "n", Weight: "1.5"},
		"the ID of the member is empty":               {Change: "drain", ID: " "},
		"no member of the zone":                       {Change: "lose", Zone: "eu/z9"},
	} {
		_, problem := form.Asked(in.Members)
		require.Contains(t, problem, want)
	}
}

func BenchmarkRender(b *testing.B) {
	in := input(1000, 65_536)
	for b.Loop() {
		if err := page.Render(io.Discard, in); err != nil {
			b.Fatal(err)
		}
	}
}
