package deploy_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/clusterkit_test/documents"
)

// built is the directory of the program.
var built string

func TestMain(m *testing.M) {
	status := m.Run()
	if built != "" {
		_ = os.RemoveAll(built) // a directory of this process
	}
	os.Exit(status)
}

// build builds the program with the command of the Dockerfile, but for the settings that would compile
// every package once more.
var build = sync.OnceValues(func() (string, error) {
	root, err := filepath.Abs("../..")
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		return "", err
	}
	command := regexp.MustCompile(`(?m)^RUN (CGO_ENABLED=0 go build .*)$`).FindStringSubmatch(string(text))
	if command == nil {
		return "", errors.New("the Dockerfile builds nothing")
	}
	if built, err = os.MkdirTemp("", "clusterkit"); err != nil {
		return "", err
	}
	cmd := exec.Command("sh", "-c", strings.NewReplacer("CGO_ENABLED=0 ", "", "-trimpath ", "", "/out/node", built+"/node").Replace(command[1]))
	cmd.Dir, cmd.Env = root, append(os.Environ(), "VERSION=v9.9.9")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.New(string(out))
	}
	return filepath.Join(built, "node"), nil
})

// program returns the path of the program, and the flags that it has.
func program(t *testing.T) (path string, flags map[string]bool) {
	t.Helper()
	path, err := build()
	require.NoError(t, err)
	out, err := exec.CommandContext(t.Context(), path, "-h").CombinedOutput()
	require.NoError(t, err, "%s", out)
	flags = make(map[string]bool)
	for _, match := range regexp.MustCompile(`(?m)^  -(\S+)`).FindAllStringSubmatch(string(out), -1) {
		flags[match[1]] = true
	}
	require.Greater(t, len(flags), 50)
	return path, flags
}

// requireSettings requires that the program accepts an environment: that each variable belongs to a
// flag, and that all values together are valid. Files that the environment names are made first, by
// their paths in the environment.
func requireSettings(t *testing.T, environment map[string]string, files map[string]string, args ...string) {
	t.Helper()
	path, flags := program(t)
	variables := make(map[string]bool)
	for name := range flags {
		variables["CLUSTERKIT_"+strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(name))] = true
	}
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), path, append([]string{"-check"}, args...)...)
	for name, value := range environment {
		if !strings.HasPrefix(name, "CLUSTERKIT_") {
			continue
		}
		require.True(t, variables[name], "%s belongs to no flag of examples/node", name)
		if content, ok := files[value]; ok {
			value = filepath.Join(dir, strings.ReplaceAll(value, "/", "_"))
			require.NoError(t, os.WriteFile(value, []byte(content), 0o600))
		}
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out, err := cmd.CombinedOutput()
	var ended *exec.ExitError
	require.ErrorAs(t, err, &ended, "no member serves there")
	// Status 2 is a mistake in the settings. With 1 the settings are valid, and no member answers.
	require.Equal(t, 1, ended.ExitCode(), "%v: %s", cmd.Env, out)
}

// setting returns a duration of an environment, or a default of examples/node.
func setting(t *testing.T, environment map[string]string, name, otherwise string) time.Duration {
	t.Helper()
	value, ok := environment[name]
	if !ok {
		value = otherwise
	}
	d, err := time.ParseDuration(value)
	require.NoError(t, err, name)
	return d
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(documents.Root(t), path))
	require.NoError(t, err)
	return string(text)
}

// The image has one static program, for a user that is not root, with the ports of the defaults.
func TestDockerfile(t *testing.T) {
	t.Parallel()
	text := read(t, "Dockerfile")
	last := text[strings.LastIndex(text, "\nFROM "):]
	require.True(t, strings.HasPrefix(last, "\nFROM scratch\n"), last)
	for _, line := range []string{
		"USER 65532:65532", "ENV CLUSTERKIT_GOSSIP=0.0.0.0:7946 CLUSTERKIT_HTTP=0.0.0.0:8080", "EXPOSE 7946/tcp 7946/udp 8080/tcp",
		`ENTRYPOINT ["/node"]`, "COPY --from=build /out/node /node",
	} {
		require.Contains(t, last, "\n"+line+"\n")
	}
	requireSettings(t, map[string]string{"CLUSTERKIT_GOSSIP": "0.0.0.0:7946", "CLUSTERKIT_HTTP": "127.0.0.1:1", "CLUSTERKIT_ID": "n1"}, nil)
	path, _ := program(t)
	out, err := exec.CommandContext(t.Context(), path, "-version").CombinedOutput()
	require.NoError(t, err)
	require.Regexp(t, `^node v9\.9\.9, go`, string(out))
	from := regexp.MustCompile(`(?m)^FROM golang:(\S+) AS build$`).FindStringSubmatch(text)
	require.NotNil(t, from)
	require.Contains(t, read(t, "go.mod"), "\ngo "+from[1]+".")
}

// The unit gives the program valid settings, and more time to stop than it may take.
func TestSystemdUnit(t *testing.T) {
	t.Parallel()
	unit, environment := read(t, "examples/systemd/clusterkit-node.service"), make(map[string]string)
	for _, line := range regexp.MustCompile(`(?m)^(CLUSTERKIT_\w+)=(.*)$`).FindAllStringSubmatch(read(t, "examples/systemd/node.env"), -1) {
		environment[line[1]] = line[2]
	}
	require.Greater(t, len(environment), 6)
	for _, pair := range regexp.MustCompile(`CLUSTERKIT_(\w+)=(\S+)`).FindAllStringSubmatch(unit, -1) {
		environment["CLUSTERKIT_"+pair[1]] = pair[2]
	}
	stop := regexp.MustCompile(`(?m)^TimeoutStopSec=(\d+)$`).FindStringSubmatch(unit)
	require.NotNil(t, stop)
	limit, err := time.ParseDuration(stop[1] + "s")
	require.NoError(t, err)
	require.Greater(t, limit, setting(t, environment, "CLUSTERKIT_STOP_DELAY", "0s")+setting(t, environment, "CLUSTERKIT_LEAVE_TIMEOUT", "10s"))
	environment["CLUSTERKIT_HTTP"] = "127.0.0.1:1"
	requireSettings(t, environment, map[string]string{"%d/gossip.key": "00112233445566778899aabbccddeeff"})

	verify, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("there is no systemd-analyze")
	}
	path, _ := program(t)
	file := filepath.Join(t.TempDir(), "clusterkit-node.service")
	require.NoError(t, os.WriteFile(file, []byte(strings.ReplaceAll(unit, "/usr/local/bin/clusterkit-node", path)), 0o600))
	out, err := exec.CommandContext(t.Context(), verify, "verify", "--man=no", file).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NotContains(t, string(out), file, "systemd-analyze has something to say")
}
