package measure

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strings"
)

var model = regexp.MustCompile(`(?m)^(?:model name|Model)\s*: (.+)$`)

// Machine describes the machine and the process in one line. Load is the mean number of
// runnable processes over the last minute, on systems that have this figure.
func Machine() string {
	cpu, load := "unknown processor", ""
	if content, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if m := model.FindSubmatch(content); m != nil {
			cpu = strings.TrimSpace(string(m[1]))
		}
	}
	if content, err := os.ReadFile("/proc/loadavg"); err == nil {
		first, _, _ := strings.Cut(string(content), " ")
		load = ", load " + first
	}
	return fmt.Sprintf("%s, %d cores, %s %s/%s, GOMAXPROCS %d%s",
		cpu, runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), load)
}
