package main

import "stathat.com/c/consistent"

// stathatRing has the default of 20 points a member.
var stathatRing = adapter{
	name: "stathat consistent", module: "stathat.com/c/consistent",
	build: func(members []string, _ int) (*subject, error) {
		c := consistent.New()
		c.Set(members)
		return &subject{
			primary: func(k keys) (sum int) {
				for _, key := range k.text {
					owner, err := c.Get(key)
					if err != nil {
						panic(err)
					}
					sum += len(owner)
				}
				return sum
			},
			three: func(k keys) (sum int) {
				for _, key := range k.text {
					owners, err := c.GetN(key, replicas)
					if err != nil {
						panic(err)
					}
					for _, owner := range owners {
						sum += len(owner)
					}
				}
				return sum
			},
		}, nil
	},
}
