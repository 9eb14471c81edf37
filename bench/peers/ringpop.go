package main

import (
	"github.com/dgryski/go-farm"
	"github.com/uber/ringpop-go/hashring"
	"github.com/uber/ringpop-go/membership"
)

// ringpopPoints is the number of points of a member in ringpop's own configuration.
const ringpopPoints = 100

// ringpopMember is a member without labels, identified by its address.
type ringpopMember string

func (m ringpopMember) GetAddress() string          { return string(m) }
func (m ringpopMember) Identity() string            { return string(m) }
func (m ringpopMember) Label(string) (string, bool) { return "", false }

// ringpopRing is ringpop's ring, with the hash and the number of points of ringpop.
var ringpopRing = adapter{
	name: "ringpop hashring",
	build: func(members []string, _ int) (*subject, error) {
		r := hashring.New(farm.Fingerprint32, ringpopPoints)
		list := make([]membership.Member, len(members))
		for i, id := range members {
			list[i] = ringpopMember(id)
		}
		r.AddMembers(list...)
		return &subject{
			primary: func(k keys) (sum int) {
				for _, key := range k.text {
					owner, ok := r.Lookup(key)
					if !ok {
						panic("no owner of " + key)
					}
					sum += len(owner)
				}
				return sum
			},
			three: func(k keys) (sum int) {
				for _, key := range k.text {
					for _, owner := range r.LookupN(key, replicas) {
						sum += len(owner)
					}
				}
				return sum
			},
		}, nil
	},
}
