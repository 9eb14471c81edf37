// Package view derives a [View] from the list of a cluster's members: the configuration
// in use, the serving ring with its target, and a fingerprint that is equal on members
// with equal views.
//
// A view is a pure function of the announcements of the members. It does not depend on
// a clock, on the network, or on the order in which members came. So members with equal
// lists derive equal views without asking each other.
//
// Only package cluster uses this package.
package view
