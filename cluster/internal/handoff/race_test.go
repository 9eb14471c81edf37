//go:build race

package handoff

// underRace scales down tests that run in one goroutine, where no race is possible.
const underRace = true
