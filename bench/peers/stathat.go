package main

import "stathat.com/c/consistent"

// stathatRing has the default of 20 points a member.
var stathatRing = adapter{
	name: "stathat consistent", module: "stathat.com/c/consistent",
	pays: "read lock, CRC-32, search, maps; slice",
	build: func(members []string, _ int) (*subject, error) {
		c := consistent.New()
		c.Set(members)
		return &subject{
			primary: &work{
				loop: func(k keys) (sum int, _ error) {
					for _, key := range k.text {
						owner, err := c.Get(key)
						if err != nil {
							return 0, err
						}
						sum += len(owner)
					}
					return sum, nil
				},
				owners: func(k keys) ([]string, error) {
					owner, err := c.Get(k.text[0])
					return []string{owner}, err
				},
			},
			three: &work{
				loop: func(k keys) (sum int, _ error) {
					for _, key := range k.text {
						owners, err := c.GetN(key, replicas)
						if err != nil {
							return 0, err
						}
						for _, owner := range owners {
							sum += len(owner)
						}
					}
					return sum, nil
				},
				owners: func(k keys) ([]string, error) { return c.GetN(k.text[0], replicas) },
			},
		}, nil
	},
}
