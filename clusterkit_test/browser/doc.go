// Package browser tests the status page in a headless browser: chromium, where it is
// installed.
package browser
