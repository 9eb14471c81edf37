// Package handoff decides which member merges which partition from which other members, when a
// merge is proven, and when a member may delete what it has. It is a state machine without a
// clock, a network, a lock or a goroutine.
//
// A [Machine] has one door in and one door out: [Machine.Step] takes an [Event] and returns
// [Effects], which the caller, called the driver, carries out. Equal machines that are given equal
// events return equal effects. A partition is a small value that decides by itself and by its
// surroundings. The machine above it has what concerns the whole process: the number of jobs at a
// time, the batching of messages, departure. docs/handoff.md has the model, with a scenario file of
// testdata for each rule.
package handoff
