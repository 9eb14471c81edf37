// Package sim tests whole clusters in virtual time, over a network in memory: members
// join, leave, crash, and are cut off from each other, and then must agree. env_test.go
// lists the environment variables that change size, seed and log.
package sim
