package tether

import (
	"cmp"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// circle holds the starts that take part in tethers, in the order of the hashes of their names.
type circle struct{ places []place }

type place struct {
	hash uint64
	name string
}

func placeOf(name string) place { return place{xxhash.Sum64String(name), name} }

func (p place) compare(other place) int {
	return cmp.Or(cmp.Compare(p.hash, other.hash), strings.Compare(p.name, other.name))
}

func (c *circle) add(name string) {
	at, found := slices.BinarySearchFunc(c.places, placeOf(name), place.compare)
	if !found {
		c.places = slices.Insert(c.places, at, placeOf(name))
	}
}

func (c *circle) remove(name string) {
	at, found := slices.BinarySearchFunc(c.places, placeOf(name), place.compare)
	if found {
		c.places = slices.Delete(c.places, at, at+1)
	}
}

// after returns up to most names that follow a name, the nearest first, without that name.
func (c *circle) after(name string, most int) []string { return c.walk(name, most, 1) }

// before returns up to most names that precede a name, the nearest first, without that name.
func (c *circle) before(name string, most int) []string { return c.walk(name, most, -1) }

func (c *circle) walk(name string, most, step int) (names []string) {
	n := len(c.places)
	at, found := slices.BinarySearchFunc(c.places, placeOf(name), place.compare)
	if step > 0 && !found {
		at-- // the place before the name
	}
	for i := 1; i <= n && len(names) < most; i++ {
		other := c.places[((at+i*step)%n+n)%n]
		if other.name != name {
			names = append(names, other.name)
		}
	}
	return names
}
