package main

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport"
)

// list splits a list at its commas.
func list(s string) (items []string) {
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

// parseStrategy reads the name of a strategy. A version after it, as in rendezvous/1, is that of an
// earlier release. After ordinal come the prefix of IDs and the number of zones, as in
// ordinal/orders-/3, and then the version, as in ordinal/orders-/3/1.
func parseStrategy(s string) (ring.RebalanceStrategy, error) {
	if rest, ok := strings.CutPrefix(s, "ordinal/"); ok {
		prefix, digits, _ := strings.Cut(rest, "/")
		digits, earlier := strings.CutSuffix(digits, "/1")
		zones, err := strconv.Atoi(digits)
		if err != nil {
			return nil, fmt.Errorf("strategy %q: must be like ordinal/orders-/3, with the prefix of IDs and the number of zones", s)
		}
		o := rebalance.Ordinal{Prefix: prefix, Zones: zones}
		if earlier {
			o.Version = 1
		}
		return o, nil
	}
	switch s {
	case "balanced":
		return rebalance.Balanced{}, nil
	case "balanced/1":
		return rebalance.Balanced{Version: 1}, nil
	case "balanced/2":
		return rebalance.Balanced{Version: 2}, nil
	case "rendezvous":
		return rebalance.Rendezvous{}, nil
	case "rendezvous/1":
		return rebalance.Rendezvous{Version: 1}, nil
	case "rendezvous/2":
		return rebalance.Rendezvous{Version: 2}, nil
	case "consistent-hash":
		return rebalance.ConsistentHash{}, nil
	case "consistent-hash/1":
		return rebalance.ConsistentHash{Version: 1}, nil
	case "consistent-hash/2":
		return rebalance.ConsistentHash{Version: 2}, nil
	case "round-robin":
		return rebalance.RoundRobin{}, nil
	default:
		return nil, fmt.Errorf("strategy %q: must be balanced, rendezvous, consistent-hash, round-robin or ordinal/PREFIX/ZONES", s)
	}
}

// parseAccept reads configurations such as rf3/balanced.
func parseAccept(s string) (configurations []cluster.Configuration, err error) {
	for _, item := range list(s) {
		factor, strategy, _ := strings.Cut(item, "/")
		digits, ok := strings.CutPrefix(factor, "rf")
		n, err := strconv.Atoi(digits)
		if !ok || err != nil || n < 1 {
			return nil, fmt.Errorf("-accept: %q: must be like rf3/balanced", item)
		}
		configuration := cluster.Configuration{ReplicationFactor: n}
		if configuration.Strategy, err = parseStrategy(strategy); err != nil {
			return nil, fmt.Errorf("-accept: %q: %w", item, err)
		}
		configurations = append(configurations, configuration)
	}
	return configurations, nil
}

// readWeight reads the file of -weight-file.
func readWeight(file string) (int, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return 0, fmt.Errorf("-weight-file: %w", err)
	}
	weight, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil || weight < 1 {
		return 0, fmt.Errorf("-weight-file: %s has %.20q: must be a whole number above 0", file, content)
	}
	return weight, nil
}

// parseMetadata reads values such as team=orders,disk=ssd.
func parseMetadata(s string) (map[string]string, error) {
	var values map[string]string
	for _, item := range list(s) {
		name, value, ok := strings.Cut(item, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("-metadata: %q: must be like name=value", item)
		}
		if values == nil {
			values = make(map[string]string)
		}
		values[name] = value
	}
	return values, nil
}

// parseRate reads a rate such as 50, or 50/100 with a burst.
func parseRate(flagName, s string) (limit transport.RateLimit, err error) {
	if s == "" {
		return limit, nil
	}
	rate, burst, bursts := strings.Cut(s, "/")
	limit.PerSecond, err = strconv.ParseFloat(rate, 64)
	if err == nil && bursts {
		limit.Burst, err = strconv.Atoi(burst)
	}
	if err != nil || limit == (transport.RateLimit{}) {
		return transport.RateLimit{}, fmt.Errorf("-%s is %q: must be requests a second, as 50 or 50/100 with a burst; leave it out for no limit", flagName, s)
	}
	return limit, nil
}

var errKey = errors.New("must be 16, 24 or 32 bytes in hex or base64")

// parseKeys parses keys. Its errors say which key is wrong, and never show a key.
func parseKeys(flagName, s string) (keys [][]byte, err error) {
	for i, item := range list(s) {
		key, err := hex.DecodeString(item)
		if err != nil {
			key, err = base64.StdEncoding.DecodeString(item)
		}
		if n := len(key); err != nil || n != 16 && n != 24 && n != 32 {
			return nil, fmt.Errorf("-%s: number %d %w", flagName, i+1, errKey)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// readKeys reads the keys of -key or -key-file.
func (c *config) readKeys(t *texts) (err error) {
	if t.keyFile == "" {
		c.options.Gossip.Keys, err = parseKeys("key", t.keys)
		return err
	}
	if t.keys != "" {
		return errors.New("-key-file: -key is set too: leave one of them out")
	}
	content, err := os.ReadFile(t.keyFile)
	if err != nil {
		return fmt.Errorf("-key-file: %w", err)
	}
	c.options.Gossip.Keys, err = parseKeys("key-file", strings.Join(strings.Fields(string(content)), ","))
	if err == nil && len(c.options.Gossip.Keys) == 0 {
		err = fmt.Errorf("-key-file: %s has no key: write one a line, or leave the flag out", t.keyFile)
	}
	return err
}

// readFiles reads the files of -zone-file, -region-file and -weight-file.
func (c *config) readFiles(t *texts) error {
	var errs []error
	for _, place := range []struct {
		name, file string
		value      *string
	}{{"zone-file", t.zoneFile, &c.options.Zone}, {"region-file", t.regionFile, &c.options.Region}} {
		if place.file == "" {
			continue
		}
		content, err := os.ReadFile(place.file)
		if err != nil {
			errs = append(errs, fmt.Errorf("-%s: %w", place.name, err))
			continue
		}
		*place.value = strings.TrimSpace(string(content))
	}
	if c.weightFile != "" {
		weight, err := readWeight(c.weightFile)
		c.options.Weight = weight
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
