package handoff

import (
	"os"
	"runtime/debug"
	"testing"
)

// TestMain collects garbage four times less often than usual: random worlds make much garbage, and a
// fifth of the processor time of these tests went into collecting it.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	os.Exit(m.Run())
}
