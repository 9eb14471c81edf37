// Package view derives one picture of the cluster from the list of its members: the
// configuration in use, the serving ring with its target, and the fingerprint that
// tells whether two members see the same.
//
// A [View] is a pure function of what the members announce. It depends on no clock, no
// network, and not on the way that led to the list of members. So members with equal
// lists derive equal views, and need not talk to each other to agree.
//
// The package is part of package cluster, and has no users beside it.
package view
