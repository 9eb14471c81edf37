package main

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/clusterkit/clusterkit/ring/option"
	"github.com/clusterkit/clusterkit/transport/client"
)

// settings say which members to ask, and how.
type settings struct {
	addrs   []string
	config  string
	output  string
	timeout time.Duration

	tokenFile, caFile, certFile, keyFile, serverName string
	tokensInClear                                    bool

	token string // from the environment
}

func (s *settings) add(flags *pflag.FlagSet) {
	flags.StringSliceVarP(&s.addrs, "addr", "a", []string{"127.0.0.1:8080"}, "addresses of members, host:port or a URL; the first that answers is asked")
	flags.StringVar(&s.config, "config", "", "YAML file with further settings, by the names of the flags")
	flags.StringVarP(&s.output, "output", "o", "table", "table for people, json for programs")
	flags.DurationVar(&s.timeout, "timeout", 5*time.Second, "how long an answer may take")
	flags.StringVar(&s.tokenFile, "token-file", "", "file with the bearer token")
	flags.StringVar(&s.caFile, "ca-file", "", "file with the authorities of the members' certificates; the system's without it")
	flags.StringVar(&s.certFile, "cert-file", "", "file with the certificate to show")
	flags.StringVar(&s.keyFile, "key-file", "", "file with the key of that certificate")
	flags.StringVar(&s.serverName, "server-name", "", "name in the members' certificates, in place of the host of the address")
	flags.BoolVar(&s.tokensInClear, "tokens-in-clear", false, "send the token without TLS to addresses that are not loopback")
}

// complete sets the flags that were not given from the environment, and then from the file.
func (s *settings) complete(flags *pflag.FlagSet, env func(string) (string, bool)) error {
	var errs []error
	fill := func(from string, value func(name string) (string, bool)) {
		flags.VisitAll(func(f *pflag.Flag) {
			text, given := value(f.Name)
			if f.Changed || !given || f.Name == "help" {
				return
			}
			if err := flags.Set(f.Name, text); err != nil {
				errs = append(errs, fmt.Errorf("%s: %s is %q: %w", from, f.Name, text, err))
			}
		})
	}
	fill("environment", func(name string) (string, bool) {
		text, given := env("CLUSTERCTL_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")))
		return text, given && text != ""
	})
	if s.config != "" {
		content, err := os.ReadFile(s.config)
		if err != nil {
			return fmt.Errorf("--config: %w", err)
		}
		values := make(map[string]string)
		if err := yaml.Unmarshal(content, &values); err != nil {
			return fmt.Errorf("--config: file %q: %w", s.config, err)
		}
		for name := range values {
			if flags.Lookup(name) == nil || name == "config" || name == "help" {
				errs = append(errs, fmt.Errorf("--config: file %q: there is no setting %q", s.config, name))
			}
		}
		fill("file "+s.config, func(name string) (string, bool) { text, ok := values[name]; return text, ok })
	}
	if s.output != "table" && s.output != "json" {
		errs = append(errs, fmt.Errorf("--output is %q: must be table or json", s.output))
	}
	s.token, _ = env("CLUSTERCTL_TOKEN")
	return errors.Join(errs...)
}

// within returns how long an answer may take. Zero means the default of package client.
func (s *settings) within() time.Duration { return cmp.Or(s.timeout, 10*time.Second) }

// pool returns the connections to members.
func (s *settings) pool() (*client.Pool, error) {
	o := client.PoolOptions{
		TokenFile: s.tokenFile, TokensInClear: s.tokensInClear, Logger: slog.New(slog.DiscardHandler),
		TLS: client.TLSOptions{RootCAFile: s.caFile, CertFile: s.certFile, KeyFile: s.keyFile, ServerName: s.serverName},
	}
	if s.token != "" && s.tokenFile == "" {
		o.Token = func() string { return s.token }
	}
	return client.NewPool(o)
}

// scheme returns the scheme of addresses that do not name one.
func (s *settings) scheme() string {
	if s.caFile != "" || s.certFile != "" || s.serverName != "" {
		return "https"
	}
	for _, a := range s.addrs {
		if scheme, _, found := strings.Cut(a, "://"); found {
			return scheme
		}
	}
	return "http"
}

func (s *settings) url(addr string) string {
	if strings.Contains(addr, "://") {
		return addr
	}
	if _, _, err := net.SplitHostPort(addr); err != nil {
		addr = net.JoinHostPort(strings.Trim(addr, "[]"), "8080")
	}
	if strings.HasPrefix(addr, "[") {
		addr = strings.Replace(addr, "%", "%25", 1) // the zone of an IPv6 address, as a URL has it
	}
	return s.scheme() + "://" + addr
}

// members are the members to ask, over one pool.
type members struct {
	settings *settings
	pool     *client.Pool
	all      *client.Client // asks the first address that answers
}

// connect makes what a command asks with. The caller must close it.
func (c *cli) connect() (*members, error) {
	pool, err := c.settings.pool()
	if err != nil {
		return nil, err
	}
	m := &members{settings: &c.settings, pool: pool}
	urls := make([]string, 0, len(c.settings.addrs))
	for _, a := range c.settings.addrs {
		urls = append(urls, c.settings.url(a))
	}
	m.all, err = m.client(len(urls)-1, urls...)
	if err != nil {
		_ = pool.Close()
		return nil, err
	}
	return m, nil
}

// client returns a client of members, with a number of further attempts.
func (m *members) client(retries int, urls ...string) (*client.Client, error) {
	if retries <= 0 {
		retries = option.None
	}
	return client.New(client.Options{
		URLs: urls, Pool: m.pool, Timeout: m.settings.timeout, Retries: retries, MinBackoff: time.Millisecond, Compression: true, Logger: slog.New(slog.DiscardHandler),
	})
}

func (m *members) close() {
	_ = m.all.Close()  // Close returns nil
	_ = m.pool.Close() // Close returns nil
}
