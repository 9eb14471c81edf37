package main

import (
	"fmt"
	"io"
	"runtime/debug"
	"strings"
)

// spreadKeys is how many keys show how evenly an adapter spreads them.
const spreadKeys = 65_536

// fullest is the share of the member with the most keys, over the mean: what a
// fast answer is worth. Zero stands for no answer.
func (w *work) fullest(members int, k keys) float64 {
	if w == nil || w.owners == nil {
		return 0
	}
	counts := make(map[string]int)
	most := 0
	for i := range k.len() {
		owners, err := w.owners(k.part(i, i+1))
		if err != nil {
			return 0
		}
		counts[owners[0]]++
		most = max(most, counts[owners[0]])
	}
	return float64(most) * float64(members) / float64(k.len())
}

// version is the one of a module that this program was built with.
func version(module string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, dependency := range info.Deps {
		if dependency.Path == module {
			return dependency.Version
		}
	}
	return "unknown"
}

// profile is an adapter as the report introduces it.
type profile struct {
	name, version, pays string
	fullest             float64
}

// profiles are the adapters of a scenario, with how evenly they spread keys.
func (sc *scenario) profiles() []profile {
	sample := sc.cold.part(0, spreadKeys)
	all := make([]profile, 0, len(sc.entrants))
	for _, a := range sc.entrants {
		p := profile{name: a.name, pays: a.pays, fullest: a.primary.fullest(sc.size.members, sample)}
		if a.module != "" {
			p.version = a.module + " " + version(a.module)
		}
		all = append(all, p)
	}
	return all
}

func (p profile) share() string {
	if p.fullest == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", p.fullest)
}

// writeProfiles prints which adapters are measured, for a terminal.
func writeProfiles(out io.Writer, all []profile, members int) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\nWHO IS ASKED, AND HOW EVENLY %d MEMBERS OWN (the fullest's primary keys over the mean)\n", members)
	for _, p := range all {
		fmt.Fprintf(&b, "%-27s %5s  %-46s %s\n", p.name, p.share(), p.pays, p.version)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// markProfiles prints the same for a page.
func markProfiles(out io.Writer, all []profile, members int) error {
	var b strings.Builder
	fmt.Fprintf(&b, "|  | a look-up costs | fullest of %d members over the mean | version |\n|---|---|---:|---|\n", members)
	for _, p := range all {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", p.name, p.pays, p.share(), p.version)
	}
	_, err := io.WriteString(out, b.String())
	return err
}
