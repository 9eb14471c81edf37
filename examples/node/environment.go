package main

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// envPrefix begins the names of all environment variables of flags.
const envPrefix = "CLUSTERKIT_"

// envName is the environment variable of a flag.
func envName(flagName string) string {
	return envPrefix + strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(flagName))
}

// fromEnvironment sets the flags that were not given from the environment. It returns the variables
// that look like that of a flag and belong to none: with a mistyped name a default stays in force.
// They are no error, because Kubernetes sets variables that begin with the name of a Service.
func fromEnvironment(flags *flag.FlagSet, environ []string) (unknown []string, err error) {
	given := make(map[string]bool)
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	names := make(map[string]string) // the names of flags, by variable
	flags.VisitAll(func(f *flag.Flag) { names[envName(f.Name)] = f.Name })
	var errs []error
	for _, entry := range environ {
		variable, value, _ := strings.Cut(entry, "=")
		name, known := names[variable]
		switch {
		case !strings.HasPrefix(variable, envPrefix) || value == "" || given[name]:
		case !known:
			unknown = append(unknown, "$"+variable)
		default:
			if err := flags.Set(name, value); err != nil {
				errs = append(errs, fmt.Errorf("invalid value %q in $%s: %w", value, variable, err))
			}
		}
	}
	return unknown, errors.Join(errs...)
}

// explained is the value of a flag whose errors say what the value must be.
type explained struct{ flag.Value }

// explain makes the errors of all flags say what their values must be.
func explain(flags *flag.FlagSet) {
	flags.VisitAll(func(f *flag.Flag) { f.Value = explained{f.Value} })
}

// plain takes the effect of explain back.
func plain(flags *flag.FlagSet) {
	flags.VisitAll(func(f *flag.Flag) {
		if e, ok := f.Value.(explained); ok {
			f.Value = e.Value
		}
	})
}

// IsBoolFlag reports whether the flag needs no value.
func (e explained) IsBoolFlag() bool {
	b, ok := e.Value.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}

// Set sets the value.
func (e explained) Set(s string) error {
	err := e.Value.Set(s)
	getter, ok := e.Value.(flag.Getter)
	if err == nil || !ok {
		return err
	}
	switch getter.Get().(type) {
	case int, int64:
		return errors.New("must be a whole number")
	case bool:
		return errors.New("must be true or false")
	case time.Duration:
		return errors.New("must be a time such as 500ms, 10s or 1m")
	case *slog.Level:
		return errors.New("must be debug, info, warn or error")
	default:
		return err
	}
}
