// Package docs compares the documentation with the code: links lead somewhere, Go
// compiles, commands are run, and what is shown as printed is printed.
package docs
