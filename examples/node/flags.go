package main

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/clusterkit/clusterkit/ring/option"
)

// texts are the values of flags that are parsed after all flags are read.
type texts struct {
	seeds, dns, srv, seedsFile, dnsServer string
	strategy, accept, metadata            string
	keys, keyFile, zoneFile, regionFile   string
	ratePerClient, rate, proxies, origins string
	version, check                        bool
}

// declare declares all flags.
func (c *config) declare(flags *flag.FlagSet) *texts {
	t := new(texts)
	c.declareMember(flags, t)
	c.declareJoin(flags, t)
	c.declareGossip(flags, t)
	c.declareHTTP(flags, t)
	c.declareLimits(flags)
	c.declareLife(flags, t)
	return t
}

func (c *config) declareMember(flags *flag.FlagSet, t *texts) {
	o := &c.options
	flags.StringVar(&o.ClusterName, "cluster", "demo", "`name` of the cluster")
	flags.StringVar(&o.NodeID, "id", "", "`name` of this member: unique, and the same after a restart")
	flags.StringVar(&o.Region, "region", "", "`region` this member runs in")
	flags.StringVar(&t.regionFile, "region-file", "", "`file` that has the region in place of -region; read at the start")
	flags.StringVar(&o.Zone, "zone", "", "`zone` in that region")
	flags.StringVar(&t.zoneFile, "zone-file", "", "`file` that has the zone in place of -zone; read at the start")
	flags.IntVar(&o.Weight, "weight", 1, "`share` of the partitions, relative to the other members")
	flags.StringVar(&c.weightFile, "weight-file", "", "`file` that has the weight in place of -weight; read at the start and after SIGHUP")
	flags.BoolVar(&o.Observer, "observer", false, "own nothing, only answer who does, and forward requests to owners")
	flags.StringVar(&t.metadata, "metadata", "", "`values` to announce, name=value, comma-separated")

	flags.IntVar(&o.PartitionCount, "partitions", 4096, "`number` of partitions, the same on all members for good")
	flags.IntVar(&o.ReplicationFactor, "replicas", 3, "`number` of owners of a partition")
	flags.StringVar(&t.strategy, "strategy", "balanced", "`name` of who picks them: balanced, rendezvous,\nconsistent-hash, round-robin or ordinal/PREFIX/ZONES; a version, as in\nrendezvous/2, is that of an earlier release")
	flags.StringVar(&t.accept, "accept", "", "further `configurations` to go along with, comma-separated, for example\n\"rf2/balanced\": for a change of replicas or strategy, member by member")
}

func (c *config) declareJoin(flags *flag.FlagSet, t *texts) {
	b := &c.options.Bootstrap
	flags.StringVar(&t.seeds, "join", "", "`addresses` of members to join through, host:port, comma-separated;\nthis member's own may be among them")
	flags.StringVar(&t.dns, "dns", "", "`name` whose A and AAAA records are members, as name or name:port;\nwithout a port the port of -gossip is taken")
	flags.StringVar(&t.srv, "srv", "", "`name` whose SRV records are members, such as _gossip._udp.orders")
	flags.StringVar(&t.seedsFile, "seeds-file", "", "`file` with addresses of members, one a line; read at every attempt to join")
	flags.StringVar(&t.dnsServer, "dns-server", "", "`IP:port` of the DNS server to ask in place of the system's")
	flags.IntVar(&b.ExpectedMembers, "expected", 0, "`number` of members that there should be; fewer are a problem of health,\nand more than half of them must be there for the first start of the cluster")
	flags.IntVar(&b.MinMembers, "min-members", 0, "`number` of members that must be there for the first start of the cluster;\n0 for more than half of -expected")
	flags.BoolVar(&b.Alone, "alone", false, "begin after -bootstrap-timeout with fewer members than -min-members")
	flags.DurationVar(&b.Timeout, "bootstrap-timeout", 5*time.Second, "how long to look for members before going ahead alone")
}

func (c *config) declareGossip(flags *flag.FlagSet, t *texts) {
	o := &c.options
	flags.StringVar(&o.GossipAddr, "gossip", "0.0.0.0:7946", "`IP:port` to gossip on, UDP and TCP; port 0 takes a free one")
	flags.StringVar(&o.Gossip.AdvertiseAddr, "advertise", "", "`IP[:port]` the others reach that at, when it is another")
	flags.StringVar(&o.Gossip.AdvertiseFrom, "advertise-from", "", "`interface` or network whose address is announced, such as eth1")
	flags.TextVar(&o.Gossip.Profile, "profile", o.Gossip.Profile, "`timings` of gossip: lan, wan or local")
	flags.BoolVar(&o.Gossip.TCPOnly, "tcp-only", false, "gossip over TCP alone, on all members, where UDP is blocked")
	flags.BoolVar(&o.Gossip.NoTethers, "no-tethers", false, "keep no streams open that show at once that a process has died")
	flags.BoolVar(&o.Gossip.Compression, "compression", false, "compress gossip; leave it off unless bandwidth is expensive")
	flags.DurationVar(&o.Gossip.ForgetAfter, "forget-after", 72*time.Hour, "how long to look for a member that was lost")
	flags.StringVar(&o.Gossip.AddressFile, "address-file", "", "`file` that keeps the addresses of other members for a restart")
	flags.StringVar(&t.keys, "key", "", "gossip `keys` of 16, 24 or 32 bytes, hex or base64, comma-separated: the first\nencrypts, all decrypt. The command line is for everybody to see: better in\n$CLUSTERKIT_KEY or -key-file")
	flags.StringVar(&t.keyFile, "key-file", "", "`file` with the keys of -key, one a line")
}

func (c *config) declareHTTP(flags *flag.FlagSet, t *texts) {
	h := &c.options.HTTP
	flags.StringVar(&c.options.HTTPAddr, "http", "127.0.0.1:8080", "`host:port` to serve HTTP on; \"\" for none")
	flags.StringVar(&h.AdvertiseAddr, "advertise-http", "", "`host:port` the others reach that at, when it is another")
	tls := &h.Server.TLS
	flags.StringVar(&tls.CertFile, "tls-cert", "", "`file` with the certificate of this member, for servers and clients")
	flags.StringVar(&tls.KeyFile, "tls-key", "", "`file` with its private key")
	flags.StringVar(&tls.ClientCAFile, "tls-client-ca", "", "`file` with the authorities that sign clients; others are refused")
	flags.StringVar(&tls.RootCAFile, "tls-ca", "", "`file` with the authorities that sign the other members")
	flags.StringVar(&tls.ServerName, "tls-server-name", "", "`name` expected in the certificates of the other members, when they\nhave no addresses")
	flags.BoolVar(&tls.AllowTLS12, "tls-allow-1.2", false, "accept TLS 1.2 too")
	flags.StringVar(&h.Guard.TokenFile, "token-file", "", "`file` with the tokens that requests must carry, a scope and a token a line")
	flags.BoolVar(&h.Guard.TokensInClear, "tokens-in-clear", false, "accept tokens without TLS, for example behind a proxy with TLS")
	flags.StringVar(&t.ratePerClient, "rate-per-client", "", "`requests` a second of one client, as 50 or 50/100 with a burst")
	flags.StringVar(&t.rate, "rate", "", "`requests` a second of all clients together, in the same form")
	flags.IntVar(&h.Guard.MaxClients, "max-clients", 0, "`number` of clients to remember for -rate-per-client; 0 for 16384")
	flags.StringVar(&t.proxies, "trusted-proxies", "", "`networks` whose X-Forwarded-For is believed, comma-separated")
	flags.StringVar(&t.origins, "trusted-origins", "", "`origins` whose pages may send actions, comma-separated")
}

// declareLimits declares the limits of HTTP. Zero stands for their default.
func (c *config) declareLimits(flags *flag.FlagSet) {
	s, h := &c.options.HTTP.Server, &c.options.HTTP.Handler
	flags.IntVar(&s.MaxConnections, "max-connections", 0, "`number` of open connections; 0 for 4096")
	flags.IntVar(&s.MaxConnectionsPerClient, "max-connections-per-client", 0, "`number` of those of one client; 0 for a quarter")
	flags.IntVar(&s.MaxHeaderBytes, "max-header-bytes", 0, "`bytes` of the header of a request; 0 for 16 KiB")
	flags.DurationVar(&s.ReadHeaderTimeout, "read-header-timeout", 0, "for the header of a request to arrive; 0 for 5s")
	flags.DurationVar(&s.ReadTimeout, "read-timeout", 0, "for a whole request to arrive; 0 for 30s")
	flags.DurationVar(&s.WriteTimeout, "write-timeout", 0, "for the answer; 0 for 1m")
	flags.DurationVar(&s.IdleTimeout, "idle-timeout", 0, "for a connection to wait for its next request; 0 for 2m")
	flags.Int64Var(&h.MaxBodyBytes, "max-body-bytes", 0, "`bytes` of the body of a request; 0 for 1 MiB")
	flags.IntVar(&h.MaxKeys, "max-keys", 0, "`number` of keys of a batch; 0 for 10000")
	flags.IntVar(&h.MaxChanges, "max-changes", 0, "`number` of changes of a plan; 0 for 1000")
	flags.IntVar(&h.MaxMoves, "max-moves", 0, "`number` of moves that a plan lists; 0 for 10000")
	flags.Int64Var(&h.MaxAnswerBytes, "max-answer-bytes", 0, "`bytes` that answers under way may take; 0 for 32 MiB or more")
	flags.Int64Var(&h.MaxPlanCost, "max-plan-cost", 0, "largest `product` of partitions and members of a plan; 0 for 2^30")
	flags.IntVar(&h.MaxWaiting, "max-waiting", 0, "`number` of requests that wait for changes; 0 for 1000")
}

func (c *config) declareLife(flags *flag.FlagSet, t *texts) {
	flags.DurationVar(&c.options.RestartGrace, "restart-grace", time.Minute, "how long this member keeps its place after SIGTERM; 0 for not at all")
	flags.DurationVar(&c.options.ZoneGrace, "zone-grace", 0, "how long this member keeps its place when its whole zone is lost; 0 for not at all")
	flags.StringVar(&c.onTerm, "on-term", onTermRestart, "what SIGTERM does: `restart` keeps the place, drain leaves for good")
	flags.DurationVar(&c.stopDelay, "stop-delay", 0, "how long to go on serving at least after a signal, for load balancers to notice")
	flags.DurationVar(&c.leaveTimeout, "leave-timeout", 10*time.Second, "how long leaving may take, after -stop-delay")
	flags.TextVar(&c.logLevel, "log-level", slog.LevelInfo, "lowest `level` to log: debug, info, warn or error")
	flags.StringVar(&c.logFormat, "log-format", "text", "`format` of the log: text or json")
	flags.BoolVar(&t.version, "version", false, "print the version, and end")
	flags.BoolVar(&t.check, "check", false, "ask the member that has these settings whether it is ready, and end:\nstatus 0 when it is, for the health checks of containers")
	flags.StringVar(&c.placeDir, "write-place", "", "`directory` to write the files zone and region of -kube-node to, and end: the init\nstep of a pod")
	flags.StringVar(&c.kubeNode, "kube-node", "", "`name` of the Kubernetes node whose labels -write-place reads")
}

// flagNames are the flags that set the fields of cluster.Options. A field with a list in it is
// named without the index.
var flagNames = map[string]string{
	"ClusterName": "cluster", "NodeID": "id", "Region": "region", "Zone": "zone", "Weight": "weight", "Observer": "observer",
	"Metadata": "metadata", "PartitionCount": "partitions", "ReplicationFactor": "replicas", "Strategy": "strategy", "AlsoRuns": "accept",
	"GossipAddr": "gossip", "HTTPAddr": "http", "Seeds": "join", "RestartGrace": "restart-grace", "ZoneGrace": "zone-grace",
	"Discovery": "dns or -srv", "Discovery.Name": "dns or -srv", "Discovery.Port": "dns", "Discovery.Path": "seeds-file",

	"Gossip.AdvertiseAddr": "advertise", "Gossip.AdvertiseFrom": "advertise-from", "Gossip.Profile": "profile", "Gossip.Keys": "key",
	"Gossip.Compression": "compression", "Gossip.ForgetAfter": "forget-after", "Gossip.AddressFile": "address-file",
	"Gossip.TCPOnly": "tcp-only", "Gossip.NoTethers": "no-tethers", "Gossip.Resolver": "dns-server",

	"Bootstrap.Timeout": "bootstrap-timeout", "Bootstrap.MinMembers": "min-members", "Bootstrap.Alone": "alone",
	"Bootstrap.ExpectedMembers": "expected",

	"HTTP.AdvertiseAddr": "advertise-http", "HTTP.Server.TLS": "tls-cert",
	"HTTP.Server.TLS.CertFile": "tls-cert", "HTTP.Server.TLS.KeyFile": "tls-key", "HTTP.Server.TLS.ClientCAFile": "tls-client-ca",
	"HTTP.Server.TLS.RootCAFile": "tls-ca", "HTTP.Server.TLS.ServerName": "tls-server-name", "HTTP.Server.TLS.AllowTLS12": "tls-allow-1.2",
	"HTTP.Server.ReadHeaderTimeout": "read-header-timeout", "HTTP.Server.ReadTimeout": "read-timeout",
	"HTTP.Server.WriteTimeout": "write-timeout", "HTTP.Server.IdleTimeout": "idle-timeout",
	"HTTP.Server.MaxHeaderBytes": "max-header-bytes", "HTTP.Server.MaxConnections": "max-connections",
	"HTTP.Server.MaxConnectionsPerClient": "max-connections-per-client",
	"HTTP.Guard.TokenFile":                "token-file", "HTTP.Guard.TokensInClear": "tokens-in-clear",
	"HTTP.Guard.PerClient": "rate-per-client", "HTTP.Guard.PerClient.PerSecond": "rate-per-client", "HTTP.Guard.PerClient.Burst": "rate-per-client",
	"HTTP.Guard.Overall": "rate", "HTTP.Guard.Overall.PerSecond": "rate", "HTTP.Guard.Overall.Burst": "rate",
	"HTTP.Guard.MaxClients": "max-clients", "HTTP.Guard.TrustedProxies": "trusted-proxies", "HTTP.Guard.TrustedOrigins": "trusted-origins",
	"HTTP.Handler.MaxBodyBytes": "max-body-bytes", "HTTP.Handler.MaxKeys": "max-keys", "HTTP.Handler.MaxChanges": "max-changes",
	"HTTP.Handler.MaxMoves": "max-moves", "HTTP.Handler.MaxAnswerBytes": "max-answer-bytes", "HTTP.Handler.MaxPlanCost": "max-plan-cost",
	"HTTP.Handler.MaxWaiting": "max-waiting",
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
