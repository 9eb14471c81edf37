// Package docs holds the documentation against the code: links lead somewhere,
// Go compiles, commands are run, and what is shown as printed is printed.
package docs
