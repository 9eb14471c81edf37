package measure

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strings"
)

// Machine is where figures were taken.
type Machine struct {
	// CPU is the processor's name as the system gives it; empty when it
	// gives none.
	CPU string
	// OS and Arch are those of the Go toolchain, as linux and amd64, and Go
	// is its version.
	OS, Arch, Go string
	// Cores is the number of processors, of which Go uses Procs.
	Cores, Procs int
	// Load is the average of runnable processes over the last minute, as the
	// system gives it; empty when it gives none. More than a little means
	// that the machine did other things.
	Load string
}

// ThisMachine describes the machine and the process.
func ThisMachine() Machine {
	m := Machine{
		OS: runtime.GOOS, Arch: runtime.GOARCH, Go: runtime.Version(),
		Cores: runtime.NumCPU(), Procs: runtime.GOMAXPROCS(0),
	}
	if content, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		m.CPU = processor(string(content))
	}
	if content, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.Load, _, _ = strings.Cut(string(content), " ")
	}
	return m
}

// processor finds the model's name in what Linux says about the processors.
func processor(cpuinfo string) string {
	lines := bufio.NewScanner(strings.NewReader(cpuinfo))
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ":")
		if key = strings.TrimSpace(key); key == "model name" || key == "Model" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// String is the machine in one line.
func (m Machine) String() string {
	cpu := m.CPU
	if cpu == "" {
		cpu = "unknown processor"
	}
	text := fmt.Sprintf("%s, %d cores, %s %s/%s, GOMAXPROCS %d", cpu, m.Cores, m.Go, m.OS, m.Arch, m.Procs)
	if m.Load != "" {
		text += ", load " + m.Load
	}
	return text
}
