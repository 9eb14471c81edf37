// Package mirror tests an example in JavaScript: a copy of a cluster's table that answers
// lookups.
package mirror
