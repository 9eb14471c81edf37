// Package docs compares the documentation with the code: links resolve, Go compiles,
// commands are run, and shown outputs are those that are printed.
package docs
