package page

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport/api"
)

// Asked returns the change that the form describes. The problem is empty if it
// describes one.
func (w What) Asked(members []api.Member) (c rebalance.Change, problem string) {
	id := strings.TrimSpace(w.ID)
	weight := 1
	if w.Weight != "" {
		n, err := strconv.Atoi(w.Weight)
		if err != nil {
			return c, fmt.Sprintf("the weight is %.40q: must be a whole number", w.Weight)
		}
		weight = n
	}
	if w.Change != "lose" && id == "" {
		return c, "the ID of the member is empty: name one"
	}
	region, zone := w.Region, w.Zone
	if region == "" { // the form has both in one field
		if at, rest, found := strings.Cut(w.Zone, "/"); found {
			region, zone = at, rest
		}
	}
	switch w.Change {
	case "add":
		c.Add = []ring.Node{{ID: id, Region: region, Zone: zone, Weight: weight}}
	case "remove":
		c.Remove = []string{id}
	case "drain":
		c.Drain = []string{id}
	case "reweigh":
		c.Reweight = []rebalance.Reweight{{ID: id, Weight: weight}}
	case "lose":
		for _, m := range members {
			if m.Region == region && m.Zone == zone && m.State != "observer" {
				c.Remove = append(c.Remove, m.ID)
			}
		}
		if len(c.Remove) == 0 {
			return c, fmt.Sprintf("no member of the zone %.80q owns anything", w.Zone)
		}
	default:
		return c, fmt.Sprintf("the change is %.40q: must be add, remove, drain, reweigh or lose", w.Change)
	}
	return c, ""
}
