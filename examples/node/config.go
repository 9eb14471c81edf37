package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/ring/option"
)

// config holds the values of the flags and of the environment.
type config struct {
	options      cluster.Options
	logLevel     slog.Level
	leaveTimeout time.Duration
	weightFile   string // empty: none
}

const usage = `Runs one member of a cluster. SIGTERM stops it for a restart: it keeps its place for
the time of -restart-grace. Ctrl-C makes it leave for good. SIGUSR1 drains it: it owns
nothing and goes on answering. SIGUSR2 has it own again. SIGHUP reads -weight-file.

Every flag can be given in the environment too: -log-level as CLUSTERKIT_LOG_LEVEL.
A flag wins over the environment, and an empty variable counts as none. Exit
status: 0 after leaving, 1 when it could not start or the cluster refused it, 2
for a mistake in the flags.

Usage: node -id name [flags]

`

// envName is the environment variable of a flag.
func envName(flagName string) string {
	return "CLUSTERKIT_" + strings.ToUpper(strings.ReplaceAll(flagName, "-", "_"))
}

// parse reads the flags, and the environment for those not given. Help goes to
// out; the error is then [flag.ErrHelp].
func parse(args []string, lookupEnv func(string) (string, bool), out io.Writer) (config, error) {
	var c config
	var seeds, strategy, accept, keys string
	o := &c.options
	flags := flag.NewFlagSet("node", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // errors are returned, and flag would print a wrong key

	flags.StringVar(&o.ClusterName, "cluster", "demo", "`name` of the cluster")
	flags.StringVar(&o.NodeID, "id", "", "`name` of this member: unique, and the same after a restart")
	flags.StringVar(&o.Region, "region", "", "`region` this member runs in")
	flags.StringVar(&o.Zone, "zone", "", "`zone` in that region")
	flags.IntVar(&o.Weight, "weight", 1, "`share` of the partitions, relative to the other members")
	flags.StringVar(&c.weightFile, "weight-file", "", "`file` that has the weight in place of -weight; read at the start and after SIGHUP")
	flags.BoolVar(&o.Observer, "observer", false, "own nothing, only answer who does")

	flags.StringVar(&o.GossipAddr, "gossip", "0.0.0.0:7946", "`IP:port` to gossip on, UDP and TCP; port 0 takes a free one")
	flags.StringVar(&o.Gossip.AdvertiseAddr, "advertise", "", "`IP[:port]` the others reach that at, when it is another")
	flags.StringVar(&o.HTTPAddr, "http", "127.0.0.1:8080", "`host:port` to serve HTTP on; \"\" for none")
	flags.StringVar(&o.HTTP.AdvertiseAddr, "advertise-http", "", "`host:port` the others reach that at, when it is another")
	flags.StringVar(&seeds, "join", "", "`addresses` of members to join through, host:port, comma-separated;\nthis member's own may be among them")

	flags.IntVar(&o.PartitionCount, "partitions", 4096, "`number` of partitions, the same on all members for good")
	flags.IntVar(&o.ReplicationFactor, "replicas", 3, "`number` of owners of a partition")
	flags.StringVar(&strategy, "strategy", "balanced", "`name` of who picks them: balanced, rendezvous,\nconsistent-hash, round-robin or ordinal/PREFIX/ZONES; rendezvous/1 and consistent-hash/1 are\nthose of earlier releases")
	flags.StringVar(&accept, "accept", "", "further `configurations` to go along with, comma-separated, for example\n\"rf2/balanced\": for a change of replicas or strategy, member by member")

	flags.TextVar(&o.Gossip.Profile, "profile", o.Gossip.Profile, "`timings` of gossip: lan, wan or local")
	flags.BoolVar(&o.Gossip.TCPOnly, "tcp-only", false, "gossip over TCP alone, on all members, where UDP is blocked")
	flags.StringVar(&o.Gossip.AddressFile, "address-file", "", "`file` that keeps the addresses of other members for a restart")
	flags.StringVar(&keys, "key", "", "gossip `keys` of 16, 24 or 32 bytes, hex or base64, comma-separated: the first\nencrypts, all decrypt. The command line is for everybody to see: better in\n$CLUSTERKIT_KEY")
	flags.DurationVar(&o.Bootstrap.Timeout, "bootstrap-timeout", 5*time.Second, "how long to look for members before going ahead alone")
	flags.DurationVar(&o.RestartGrace, "restart-grace", time.Minute, "how long this member keeps its place after SIGTERM; 0 for not at all")
	flags.DurationVar(&c.leaveTimeout, "leave-timeout", 10*time.Second, "how long leaving may take")
	flags.TextVar(&c.logLevel, "log-level", slog.LevelInfo, "lowest `level` to log: debug, info, warn or error")

	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		flags.SetOutput(out)
		_, _ = fmt.Fprint(out, usage)
		flags.PrintDefaults()
		return c, err
	case err != nil:
		return c, err
	case flags.NArg() > 0:
		return c, fmt.Errorf("unexpected argument %q: lists have commas between their items, and no spaces", flags.Arg(0))
	}
	if err := fromEnvironment(flags, lookupEnv); err != nil {
		return c, err
	}
	if c.leaveTimeout <= 0 {
		return c, fmt.Errorf("-leave-timeout is %v: must be more than 0", c.leaveTimeout)
	}
	o.Seeds = list(seeds)
	var errs [4]error
	o.Strategy, errs[0] = parseStrategy(strategy)
	o.AlsoRuns, errs[1] = parseAccept(accept)
	o.Gossip.Keys, errs[2] = parseKeys(keys)
	if c.weightFile != "" {
		o.Weight, errs[3] = readWeight(c.weightFile)
	}
	if err := errors.Join(errs[:]...); err != nil {
		return c, err
	}
	return c, inFlags(o.Validate())
}

// fromEnvironment sets the flags that were not given from the environment.
func fromEnvironment(flags *flag.FlagSet, lookupEnv func(string) (string, bool)) error {
	given := make(map[string]bool)
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	var errs []error
	flags.VisitAll(func(f *flag.Flag) {
		value, ok := lookupEnv(envName(f.Name))
		if !ok || value == "" || given[f.Name] {
			return
		}
		if err := flags.Set(f.Name, value); err != nil {
			errs = append(errs, fmt.Errorf("invalid value %q in $%s: %w", value, envName(f.Name), err))
		}
	})
	return errors.Join(errs...)
}

// flagNames are the flags that set the fields of cluster.Options.
var flagNames = map[string]string{
	"ClusterName": "cluster", "NodeID": "id", "Region": "region", "Zone": "zone", "Weight": "weight",
	"GossipAddr": "gossip", "Gossip.AdvertiseAddr": "advertise", "HTTPAddr": "http", "HTTP.AdvertiseAddr": "advertise-http",
	"Seeds": "join", "PartitionCount": "partitions", "ReplicationFactor": "replicas", "AlsoRuns": "accept",
	"Gossip.Keys": "key", "Bootstrap.Timeout": "bootstrap-timeout", "RestartGrace": "restart-grace",
}

// inFlags turns errors about options into errors about flags.
func inFlags(err error) error {
	all := option.All(err)
	errs := make([]error, 0, len(all))
	for _, err := range all {
		if e, ok := errors.AsType[*option.Error](err); ok {
			field, _, _ := strings.Cut(e.Field, "[") // Seeds[0]
			if name, ok := flagNames[field]; ok {
				err = fmt.Errorf("-%s: %w", name, err)
			}
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
