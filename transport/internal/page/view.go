package page

import (
	"cmp"
	"fmt"
	"html/template"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/clusterkit/clusterkit/transport/api"
)

// view is what the template reads.
type view struct {
	Input
	Assets   string
	Members  []member
	Own      member        // this member; its fields are zero if the view does not have it
	Hidden   int           // how many members the table leaves out
	IDs      template.HTML // options with the members that own, for the forms
	Zones    []zone
	Places   []place // the zones that have members, for the forms
	Lacking  []int   // the first partitions with too few owners, or owners in too few zones
	Lacks    int
	Moves    []move
	Moving   int
	Slots    int
	Steps    []step // why a key has its owners
	After    []after
	Recent   []api.Event
	Changes  []struct{ Kind, Name string }
	MapSide  int
	PerPixel int
	ByZone   bool // a colour of the map stands for a zone
}

// member is a row of the table of members.
type member struct {
	api.Member
	Lost                bool
	Since               time.Time // when the state began, as far as the events say; zero: not known
	Colour              string
	Primaries, Replicas int
	FairPrimary         float64
	FairReplica         float64
	Owns                bool
}

// place is a zone in its region.
type place struct{ Region, Zone string }

// Name names the place.
func (p place) Name() string {
	if p == (place{}) {
		return "(no zone)"
	}
	return strings.Trim(p.Region+" / "+p.Zone, " /")
}

// Value is the place as the value of a form.
func (p place) Value() string { return p.Region + "/" + p.Zone }

type zone struct {
	place
	Members, Weight, Primaries, Owned int
	Colour                            string // the colour of one of the members
	Fair                              float64
}

type move struct {
	ID                 string
	Incoming, Outgoing int
}

// step is one step of an explanation.
type step struct{ What, Result string }

// after is a node before and after a change.
type after struct {
	ID                    string
	Before, After         int
	PrimaryBefore, Gained int
	PrimaryAfter, Lost    int
	Fair                  float64
	Weight                int
}

const (
	maxMembers = 100
	maxRecent  = 100
	maxLacking = 20
)

func newView(in Input) *view {
	v := &view{Input: in, Assets: AssetsVersion, Changes: Changes, Recent: slices.Clone(in.Events)}
	slices.Reverse(v.Recent)
	v.Recent = v.Recent[:min(len(v.Recent), maxRecent)]
	v.members()
	if in.Table != nil {
		v.Slots, v.ByZone = len(in.Table.Serving.Owners), len(in.Table.Serving.Nodes) > maxColours
		v.MapSide, v.PerPixel = mapSide(in.Table.Serving.PartitionCount)
		v.moves()
		v.lacking()
	}
	v.zones()
	v.steps()
	v.after()
	v.shorten()
	return v
}

// members fills the rows of all members, also of those that were lost.
func (v *view) members() {
	loads := loadsOf(v.Table)
	since := make(map[string]time.Time)
	for _, e := range v.Events {
		if e.Member != "" && (e.Before != e.After || e.Kind == "member-rejoined") {
			since[e.Member] = e.At
		}
	}
	for _, m := range v.Input.Members {
		row := member{Member: m, Since: since[m.ID]}
		if l, ok := loads[m.ID]; ok {
			row.Owns, row.Primaries, row.Replicas = true, l.primary, l.owned-l.primary
			row.FairPrimary, row.FairReplica, row.Colour = l.fairPrimary, l.fairOwned-l.fairPrimary, l.colour
		}
		v.Members = append(v.Members, row)
		if m.ID == v.Health.NodeID {
			v.Own = row
		}
	}
	for _, l := range v.Lost {
		v.Members = append(v.Members, member{Member: api.Member{ID: l.ID, State: "lost", Region: l.Region, Zone: l.Zone}, Lost: true, Since: l.Since})
	}
	slices.SortFunc(v.Members, func(a, b member) int { return strings.Compare(a.ID, b.ID) })
	var ids strings.Builder // not in the template, which is slow with a thousand options
	for _, m := range v.Members {
		if m.Owns {
			ids.WriteString(`<option value="` + template.HTMLEscapeString(m.ID) + `">`)
		}
	}
	v.IDs = template.HTML(ids.String()) //nolint:gosec // each ID is escaped
}

// shorten leaves members out of a long table. Those to look at come first.
func (v *view) shorten() {
	if v.AllMembers || len(v.Members) <= maxMembers {
		return
	}
	slices.SortStableFunc(v.Members, func(a, b member) int { return a.rank() - b.rank() })
	v.Hidden, v.Members = len(v.Members)-maxMembers, v.Members[:maxMembers]
}

func (m member) rank() int {
	switch {
	case m.Lost:
		return 0
	case m.State != "active" && m.State != "observer":
		return 1
	default:
		return 2
	}
}

// load is what a node owns, and its fair share by weight.
type load struct {
	owned, primary         int
	fairOwned, fairPrimary float64
	colour                 string
}

func loadsOf(p *api.Placements) map[string]*load {
	loads := make(map[string]*load)
	if p == nil {
		return loads
	}
	t := p.Serving
	all, weight := make([]load, len(t.Nodes)), 0
	for _, n := range t.Nodes {
		weight += n.Weight
	}
	for i, o := range t.Owners {
		all[o].owned++
		if i%t.Replicas == 0 {
			all[o].primary++
		}
	}
	colours := coloursOf(t.Nodes)
	for i, n := range t.Nodes {
		l := &all[i]
		l.fairOwned = float64(len(t.Owners)) * float64(n.Weight) / float64(weight)
		l.fairPrimary = float64(t.PartitionCount) * float64(n.Weight) / float64(weight)
		l.colour = colours[i].hex()
		loads[n.ID] = l
	}
	return loads
}

func (v *view) zones() {
	rows := make(map[place]*zone)
	weight := 0
	for _, m := range v.Members {
		if m.Lost {
			continue
		}
		p := place{m.Region, m.Zone}
		z := rows[p]
		if z == nil {
			z = &zone{place: p}
			rows[p] = z
		}
		z.Members++
		if m.Owns {
			z.Colour = m.Colour
			z.Weight, z.Primaries, z.Owned = z.Weight+m.Weight, z.Primaries+m.Primaries, z.Owned+m.Primaries+m.Replicas
			weight += m.Weight
		}
	}
	for _, z := range rows {
		z.Fair = float64(v.Slots) * float64(z.Weight) / float64(max(weight, 1))
		v.Zones = append(v.Zones, *z)
	}
	slices.SortFunc(v.Zones, func(a, b zone) int {
		return cmp.Or(strings.Compare(a.Region, b.Region), strings.Compare(a.Zone, b.Zone))
	})
	for _, z := range v.Zones {
		v.Places = append(v.Places, z.place)
	}
}

// moves counts the slots that each member gains and gives up between the two tables.
func (v *view) moves() {
	if v.Table.Target == nil {
		return
	}
	from, to := v.Table.Serving, *v.Table.Target
	gained, lost := make(map[string]int), make(map[string]int)
	for p := range from.PartitionCount {
		before, after := row(from, p), row(to, p)
		differs := false
		for _, id := range after {
			if !slices.Contains(before, id) {
				gained[id]++
				differs = true
			}
		}
		for _, id := range before {
			if !slices.Contains(after, id) {
				lost[id]++
				differs = true
			}
		}
		if differs {
			v.Moving++
		}
	}
	for _, m := range v.Members {
		if gained[m.ID]+lost[m.ID] > 0 {
			v.Moves = append(v.Moves, move{m.ID, gained[m.ID], lost[m.ID]})
		}
	}
}

// row returns the IDs of the owners of a partition.
func row(t api.PlacementTable, p int) []string {
	ids := make([]string, 0, t.Replicas)
	for _, o := range t.Owners[p*t.Replicas : (p+1)*t.Replicas] {
		ids = append(ids, t.Nodes[o].ID)
	}
	return ids
}

// lacking lists the first partitions with too few owners, or with owners in too few zones.
func (v *view) lacking() {
	t := v.Table.Serving
	numbers := make(map[place]int32)
	zoneOf := make([]int32, len(t.Nodes))
	for i, n := range t.Nodes {
		at := place{n.Region, n.Zone}
		if _, known := numbers[at]; !known {
			numbers[at] = int32(len(numbers))
		}
		zoneOf[i] = numbers[at]
	}
	need := min(t.Replicas, len(numbers))
	seen := make([]int32, 0, t.Replicas)
	for p := range t.PartitionCount {
		seen = seen[:0]
		for _, o := range t.Owners[p*t.Replicas : (p+1)*t.Replicas] {
			if !slices.Contains(seen, zoneOf[o]) {
				seen = append(seen, zoneOf[o])
			}
		}
		if t.Replicas < t.ReplicationFactor || len(seen) < need {
			if v.Lacks++; v.Lacks <= maxLacking {
				v.Lacking = append(v.Lacking, p)
			}
		}
	}
}

// steps explains an answer.
func (v *view) steps() {
	a := v.Look.Answer
	if a == nil || v.Table == nil {
		return
	}
	t := v.Table.Serving
	if v.Look.Key != "" {
		v.Steps = append(v.Steps, step{"Partition", fmt.Sprintf("the high half of xxHash64(key) × %s is %s", comma(t.PartitionCount), comma(a.Partition))})
	}
	ids := row(t, a.Partition)
	v.Steps = append(v.Steps, step{"Preference list", fmt.Sprintf("%s places partition %s on %s", t.Strategy, comma(a.Partition), strings.Join(ids, ", "))})
	zones := make(map[string]bool)
	for _, o := range a.Owners {
		zones[o.Region+"/"+o.Zone] = true
	}
	v.Steps = append(v.Steps, step{"Spread", fmt.Sprintf("%d owners in %d zones; %d zones have members that can own", len(a.Owners), len(zones), len(v.Zones))})
	primary := "the first of the preference list"
	if a.Primary != ids[0] {
		primary = fmt.Sprintf("the first that is not away: %s is away", ids[0])
	}
	v.Steps = append(v.Steps, step{"Primary", a.Primary + ", " + primary})
	if a.Target != nil {
		names := make([]string, 0, len(a.Target))
		for _, o := range a.Target {
			names = append(names, o.ID)
		}
		v.Steps = append(v.Steps, step{"Target", "after the change under way: " + strings.Join(names, ", ")})
	}
}

// after compares what each node owns before and after a change.
func (v *view) after() {
	if v.What.Plan == nil {
		return
	}
	before := loadsOf(v.Table)
	weight := 0
	for _, n := range v.What.After {
		weight += n.Weight
	}
	rows := make(map[string]*after)
	for id, l := range before {
		rows[id] = &after{ID: id, Before: l.owned, PrimaryBefore: l.primary}
	}
	for _, n := range v.What.After {
		r := rows[n.ID]
		if r == nil {
			r = &after{ID: n.ID}
			rows[n.ID] = r
		}
		r.After, r.PrimaryAfter, r.Weight = n.Owned, n.Primary, n.Weight
		r.Fair = float64(v.What.Plan.Slots) * float64(n.Weight) / float64(max(weight, 1))
	}
	for _, m := range v.What.Plan.Members {
		if r := rows[m.ID]; r != nil {
			r.Gained, r.Lost = m.Gained, m.Lost
		}
	}
	for _, r := range rows {
		v.After = append(v.After, *r)
	}
	slices.SortFunc(v.After, func(a, b after) int { return strings.Compare(a.ID, b.ID) })
}

// barOf draws a number against its fair share. The fair share is in the middle of the bar,
// which is marked when the number is off by more than a fifth. It is no template, because a
// page has two bars a member, and only numbers are in it.
func barOf(value int, fair float64) template.HTML {
	return template.HTML(fmt.Sprintf( //nolint:gosec // only numbers
		`<span class="bar"><meter min="0" max="%.5g" low="%.5g" high="%.5g" optimum="%.5g" value="%d" aria-label="%d of a fair share of %.0f"></meter><span>%s <small>%s</small></span></span>`,
		max(2*fair, 1), 0.8*fair, 1.2*fair, fair, value, value, fair, comma(value), percent(float64(value), fair)))
}

func percent(part, whole float64) string {
	if whole == 0 {
		return "–"
	}
	return strconv.FormatFloat(100*part/whole, 'f', 0, 64) + " %"
}

// comma writes a number with its thousands apart.
func comma(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
