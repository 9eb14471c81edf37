// Package sim tests whole clusters in virtual time, over a network in memory:
// members come and go, crash, and lose sight of each other, and must come to
// agree. env_test.go says how the environment changes size, seed and log.
package sim
