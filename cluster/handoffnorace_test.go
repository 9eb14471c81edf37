//go:build !race

package cluster

// underRace scales down what runs in one goroutine and has nothing to race with.
const underRace = false
