// Package process tests the programs of examples as a user runs them: as
// processes of their own, which talk over real sockets and can be killed.
package process
