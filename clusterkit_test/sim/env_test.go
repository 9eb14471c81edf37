package sim_test

import (
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// The simulations run whole clusters in virtual time, over a network in memory. These
// environment variables change them:
//
//	CLUSTERKIT_SIM_SEED=n       the seed of all simulations, instead of 1; "random" draws one
//	CLUSTERKIT_SIM_FULL=1       the large form, which .ci/run runs: more members, more changes
//	CLUSTERKIT_SIM_STARTS=n     the starts beside a cluster, for each mixture of seeds: 40 in the large form
//	CLUSTERKIT_SIM_TRACE=1      each event, at once, to standard error
//	CLUSTERKIT_SIM_LOG=level    the logs of the members, to standard error: debug, info, warn or error
const (
	envSeed  = "CLUSTERKIT_SIM_SEED"
	envFull  = "CLUSTERKIT_SIM_FULL"
	envLog   = "CLUSTERKIT_SIM_LOG"
	envTrace = "CLUSTERKIT_SIM_TRACE"

	envStarts = "CLUSTERKIT_SIM_STARTS"
)

// full reports whether the large form was asked for.
func full() bool { return os.Getenv(envFull) != "" }

// least reports whether the smallest form runs: with -short, and under the race
// detector.
func least() bool { return !full() && (raceEnabled || testing.Short()) }

// scaled returns one of three numbers: large with CLUSTERKIT_SIM_FULL, less by default,
// and least with -short and under the race detector.
func scaled(large, byDefault, small int) int {
	switch {
	case full():
		return large
	case least():
		return small
	default:
		return byDefault
	}
}

func simSeed(t *testing.T) uint64 {
	t.Helper()
	switch text := os.Getenv(envSeed); text {
	case "":
		return 1
	case "random":
		return uint64(rand.Uint32())
	default:
		seed, err := strconv.ParseUint(text, 10, 64)
		require.NoError(t, err, envSeed)
		return seed
	}
}

func simLogger(t *testing.T) *slog.Logger {
	t.Helper()
	text := os.Getenv(envLog)
	if text == "" {
		return slog.New(slog.DiscardHandler)
	}
	var level slog.Level
	require.NoError(t, level.UnmarshalText([]byte(text)), envLog)
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
}
