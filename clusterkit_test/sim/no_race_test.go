//go:build !race

package sim_test

// raceEnabled scales simulations down: the race detector makes them seven to
// ten times slower.
const raceEnabled = false
