package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/ring/option"
)

// config holds the values of the flags and of the environment.
type config struct {
	options      cluster.Options
	logLevel     slog.Level
	logFormat    string
	onTerm       string // what SIGTERM does: restart or drain
	stopDelay    time.Duration
	leaveTimeout time.Duration
	weightFile   string // empty: none
	mode         mode
	placeDir     string   // the directory of mode writesPlace
	kubeNode     string   // the Kubernetes node of mode writesPlace
	unknown      []string // environment variables that look like that of a flag and belong to none
}

// mode is what the program does.
type mode int

const (
	runsMember   mode = iota
	showsVersion      // prints the version
	checksMember      // asks the member of the same settings whether it is ready
	writesPlace       // writes the zone and the region of a Kubernetes node to files
)

// The values of -on-term.
const (
	onTermRestart = "restart"
	onTermDrain   = "drain"
)

const usage = `Runs one member of a cluster, with a service that answers which member handles a key.
SIGTERM stops it for a restart: it keeps its place for the time of -restart-grace. With
-on-term drain, and with Ctrl-C, it leaves for good. SIGUSR1 drains it: it owns nothing and
goes on answering. SIGUSR2 has it own again. SIGHUP reads -weight-file.

Every flag can be given in the environment too: -log-level as CLUSTERKIT_LOG_LEVEL.
A flag wins over the environment, and an empty variable counts as none. Exit
status: 0 after leaving, 1 when it could not start or the cluster refused it, 2
for a mistake in the flags.

Usage: node -id name [flags]

`

// parse reads the flags, and the environment, as os.Environ has it, for those not given. Help
// goes to out; the error is then [flag.ErrHelp].
func parse(args, environ []string, out io.Writer) (config, error) {
	var c config
	flags := flag.NewFlagSet("node", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // errors are returned, and flag would print a wrong key
	t := c.declare(flags)
	explain(flags)
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		plain(flags)
		flags.SetOutput(out)
		_, _ = fmt.Fprint(out, usage)
		flags.PrintDefaults()
		return c, err
	case err != nil:
		return c, fmt.Errorf("%w; -h lists the flags", err)
	case flags.NArg() > 0:
		return c, fmt.Errorf("unexpected argument %q: lists have commas between their items, and no spaces", flags.Arg(0))
	}
	if c.unknown, err = fromEnvironment(flags, environ); err != nil {
		return c, err
	}
	switch {
	case t.version:
		c.mode = showsVersion
	case t.check:
		c.mode = checksMember
	case c.placeDir != "":
		c.mode = writesPlace
	}
	if c.mode == showsVersion || c.mode == writesPlace {
		return c, c.checkPlace()
	}
	c.options.Version = release
	if err := errors.Join(c.checkOwn(), c.read(t)); err != nil {
		return c, err
	}
	return c, inFlags(c.options.Validate())
}

// checkOwn checks the values that are not options of the cluster.
func (c *config) checkOwn() error {
	var errs []error
	bad := func(name string, value any, bound string) {
		errs = append(errs, &option.Error{Field: "-" + name, Value: value, Bound: bound})
	}
	if c.leaveTimeout <= 0 {
		bad("leave-timeout", c.leaveTimeout, "more than 0")
	}
	if c.stopDelay < 0 || c.stopDelay > time.Hour {
		bad("stop-delay", c.stopDelay, "between 0 and 1h")
	}
	if c.onTerm != onTermRestart && c.onTerm != onTermDrain {
		bad("on-term", c.onTerm, "restart or drain")
	}
	if c.logFormat != "text" && c.logFormat != "json" {
		bad("log-format", c.logFormat, "text or json")
	}
	return errors.Join(errs...)
}

// checkPlace checks the values of the mode that writes the place of a Kubernetes node.
func (c *config) checkPlace() error {
	if c.mode == writesPlace && c.kubeNode == "" {
		return &option.Error{Field: "-kube-node", Value: "", Bound: "the name of the Kubernetes node, as spec.nodeName of the pod has it"}
	}
	return nil
}

// read makes options of the texts of flags.
func (c *config) read(t *texts) error {
	o := &c.options
	var errs []error
	add := func(err error) { errs = append(errs, err) }
	var err error
	if o.Strategy, err = parseStrategy(t.strategy); err != nil {
		add(fmt.Errorf("-strategy: %w", err))
	}
	o.AlsoRuns, err = parseAccept(t.accept)
	add(err)
	o.Metadata, err = parseMetadata(t.metadata)
	add(err)
	add(c.readKeys(t))
	add(c.readFiles(t))
	o.HTTP.Guard.PerClient, err = parseRate("rate-per-client", t.ratePerClient)
	add(err)
	o.HTTP.Guard.Overall, err = parseRate("rate", t.rate)
	add(err)
	o.HTTP.Guard.TrustedProxies, o.HTTP.Guard.TrustedOrigins = list(t.proxies), list(t.origins)
	o.Seeds = list(t.seeds)
	add(c.discover(t))
	return errors.Join(errs...)
}

// logger returns the logger of the member.
func (c *config) logger(out io.Writer) *slog.Logger {
	o := &slog.HandlerOptions{Level: c.logLevel}
	if c.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(out, o))
	}
	return slog.New(slog.NewTextHandler(out, o))
}
