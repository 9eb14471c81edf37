// Package handoff decides which member merges which partition from which other members, when a merge is
// proven, and when a member may delete what it has. It is a state machine without a clock, a network, a
// lock or a goroutine.
//
// One method changes a [Machine]: [Machine.Step] takes an [Event] and returns [Effects], which the
// caller, called the driver, carries out. Equal machines that are given equal events return equal
// effects. Each partition decides from its own state and from the state of the process. The machine
// limits the jobs that run at a time, batches messages and announces departure. docs/handoff.md has the
// model, with a scenario file of testdata for each rule.
package handoff
