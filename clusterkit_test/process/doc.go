// Package process tests the programs of examples as a user runs them: as processes of their own, which
// use real sockets and can be killed.
package process
