package transport

import (
	"fmt"
	"runtime"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	gauge   = prometheus.GaugeValue
	counter = prometheus.CounterValue
)

func allFamilies() []family[Metrics] {
	return slices.Concat(memberFamilies, ringFamilies, handoffFamilies, gossipFamilies, httpFamilies, guardFamilies, serverFamilies)
}

// The families never change. docs/metrics.md lists them; a test compares.
var memberFamilies = []family[Metrics]{
	{"member_info", "This member: its identity, its place, and the configuration in use. Always 1.", gauge, []string{"node", "region", "zone", "configuration"},
		func(m *Metrics, s series) { s.value(1, m.NodeID, m.Region, m.Zone, m.Configuration) }},
	{"build_info", "The versions of this module and of Go that the program was built with. Always 1.", gauge, []string{"version", "goversion"},
		func(_ *Metrics, s series) { s.value(1, version(), runtime.Version()) }},
	{"member_state", "1 for the state that this member announces, 0 for the others.", gauge, []string{"state"},
		func(m *Metrics, s series) {
			for _, state := range memberStates {
				s.flag(m.State == state, state.String())
			}
		}},
	{"ready", "Whether requests should be sent to this member.", gauge, nil,
		func(m *Metrics, s series) { s.flag(m.Ready) }},
	{"healthy", "Whether this member has no problem.", gauge, nil,
		func(m *Metrics, s series) { s.flag(m.Healthy) }},
	{"isolated", "Whether most of the members believed alive do not answer this one.", gauge, nil,
		func(m *Metrics, s series) { s.flag(m.Isolated) }},
	{"problem", "Whether this member has the problem of this code.", gauge, []string{"code"},
		func(m *Metrics, s series) {
			for code, present := range m.Problems {
				s.flag(present, code)
			}
		}},
	{"members", "Members that this one believes alive, itself included.", gauge, []string{"region", "zone", "state"},
		func(m *Metrics, s series) {
			for _, p := range places(m.Members) {
				for i, state := range memberStates {
					s.value(float64(p.counts[i]), p.region, p.zone, state.String())
				}
			}
		}},
	{"members_lost", "Members that have failed and have not come back.", gauge, nil,
		func(m *Metrics, s series) { s.value(float64(m.Gossip.Lost)) }},
	{"members_lost_lately", "Members that have failed within the last 6 hours and have not come back.", gauge, nil,
		func(m *Metrics, s series) { s.value(float64(m.Gossip.LostLately)) }},
	{"member_events_total", "Other members that have joined, left, failed or come back.", counter, []string{"event"},
		func(m *Metrics, s series) {
			s.value(float64(m.Gossip.Joined), "joined")
			s.value(float64(m.Gossip.Left), "left")
			s.value(float64(m.Gossip.Failed), "failed")
			s.value(float64(m.Gossip.Rejoined), "rejoined")
		}},
	{"agreed", "Whether every member believed alive is known to hold the view of this one.", gauge, nil,
		func(m *Metrics, s series) { s.flag(m.Agreed) }},
	{"members_differing", "Members that are not known to hold the view of this one, or that hold another.", gauge, nil,
		func(m *Metrics, s series) { s.value(float64(m.Differing)) }},
}

var ringFamilies = []family[Metrics]{
	{"partitions", "Partitions of the ring.", gauge, nil,
		func(m *Metrics, s series) { s.value(float64(m.Partitions)) }},
	{"replication_factor", "Owners that each partition should have.", gauge, nil,
		func(m *Metrics, s series) { s.value(float64(m.ReplicationFactor)) }},
	{"partitions_owned", "Partitions that this member owns, as their primary or as another replica.", gauge, []string{"role"},
		func(m *Metrics, s series) {
			s.value(float64(m.Primaries), "primary")
			s.value(float64(m.Replicas), "replica")
		}},
	{"partitions_pending", "Partitions that this member will take over (in) or give up (out) when the present joins and drains are complete.", gauge, []string{"direction"},
		func(m *Metrics, s series) {
			s.value(float64(m.Incoming), "in")
			s.value(float64(m.Outgoing), "out")
		}},
	{"partitions_underreplicated", "Partitions that have fewer owners than they should.", gauge, nil,
		func(m *Metrics, s series) { s.value(float64(m.Spread.UnderReplicated)) }},
	{"partitions_zone_violations", "Partitions whose owners are in fewer zones than possible.", gauge, nil,
		func(m *Metrics, s series) { s.value(float64(m.Spread.ZoneViolations)) }},
	{"partitions_region_violations", "Partitions whose owners are in fewer regions than possible.", gauge, nil,
		func(m *Metrics, s series) { s.value(float64(m.Spread.RegionViolations)) }},
	{"view_version", "Views that this process has published.", gauge, nil,
		func(m *Metrics, s series) { s.value(float64(m.ViewVersion)) }},
	{"view_timestamp_seconds", "When this member took up its view, in seconds since 1970.", gauge, nil,
		func(m *Metrics, s series) { s.time(m.ViewSince) }},
	{"view_fingerprint", "The upper 53 bits of the fingerprint of the view. It is equal on members with equal views.", gauge, nil,
		// A float64 holds 53 bits.
		func(m *Metrics, s series) { s.value(float64(uint64(m.Fingerprint) >> 11)) }},
	{"ring_changes_total", "Changes of the ring that lookups answer from, or of its target.", counter, nil,
		func(m *Metrics, s series) { s.value(float64(m.RingChanges)) }},
	{"ring_moves_total", "Replica slots that have changed owner.", counter, nil,
		func(m *Metrics, s series) { s.value(float64(m.Moves)) }},
	{"ring_rebuild_duration_seconds", "How long rebuilds of the ring took, and how many there were.", gauge, nil,
		func(m *Metrics, s series) { s.total(m.Rebuilds, m.RebuildTime) }},
	{"ring_last_rebuild_duration_seconds", "How long the last rebuild of the ring took.", gauge, nil,
		func(m *Metrics, s series) { s.value(m.LastRebuildTime.Seconds()) }},
	{"ring_rebuild_failures_total", "Rebuilds in which the strategy failed, so that the previous ring stayed.", counter, nil,
		func(m *Metrics, s series) { s.value(float64(m.RebuildFailures)) }},
}

var handoffFamilies = []family[Metrics]{
	{"handoff_partitions", "Partitions of which this member has to receive, release or share data, that may have lost a write, that no other member can take, or that have been moving for long.", gauge, []string{"state"},
		func(m *Metrics, s series) {
			s.value(float64(m.Handoff.Receiving), "receiving")
			s.value(float64(m.Handoff.Releasing), "releasing")
			s.value(float64(m.Handoff.Sharing), "sharing")
			s.value(float64(len(m.Handoff.Lost)), "possible-loss")
			s.value(float64(m.Handoff.Stranded), "stranded")
			s.value(float64(m.Handoff.Overdue), "overdue")
		}},
	{"handoff_calls_total", "Calls of the user's code: partitions received, released, and calls that failed.", counter, []string{"result"},
		func(m *Metrics, s series) {
			s.value(float64(m.Handoff.Received), "received")
			s.value(float64(m.Handoff.Released), "released")
			s.value(float64(m.Handoff.Failed), "failed")
		}},
	{"handoff_messages_total", "Messages about handoff that this member has sent to others.", counter, nil,
		func(m *Metrics, s series) { s.value(float64(m.Handoff.Messages)) }},
}

var gossipFamilies = []family[Metrics]{
	{"gossip_health_score", "0 when gossip goes well for this member, 1 when its probes fail or others suspect it.", gauge, nil,
		func(m *Metrics, s series) { s.value(float64(m.Gossip.HealthScore)) }},
	{"gossip_last_sync_timestamp_seconds", "When all members were last exchanged with another member, in seconds since 1970. Absent when never.", gauge, nil,
		func(m *Metrics, s series) { s.time(m.LastSync) }},
	{"gossip_keys", "Gossip keys that this member decrypts with. 0 when gossip is not encrypted.", gauge, nil,
		func(m *Metrics, s series) { s.value(float64(m.Gossip.Keys)) }},
	{"gossip_syncs_total", "Times that another member has sent its full list of members to this one.", counter, nil,
		func(m *Metrics, s series) { s.value(float64(m.Gossip.Syncs)) }},
	{"gossip_tail_syncs_total", "Exchanges of all members that this one began because views differed.", counter, nil,
		func(m *Metrics, s series) { s.value(float64(m.Gossip.TailSyncs)) }},
	{"gossip_messages_dropped_total", "Messages about handoff that were dropped because they came faster than they were read. This member asks for them again.", counter, nil,
		func(m *Metrics, s series) { s.value(float64(m.Gossip.MessagesDropped)) }},
	{"gossip_packets_dropped_total", "Times that packets were dropped with Gossip.TCPOnly, because a member was slow or could not be dialled.", counter, nil,
		func(m *Metrics, s series) { s.value(float64(m.Gossip.PacketsDropped)) }},
	{"gossip_tethers", "Open tethers to other members (held) and of other members (served). A tether ends when the process at its other end dies.", gauge, []string{"direction"},
		func(m *Metrics, s series) {
			s.value(float64(m.Gossip.Tethers.Held), "held")
			s.value(float64(m.Gossip.Tethers.Served), "served")
		}},
	{"gossip_tether_examinations_total", "Members that this one examined because a tether ended or carried nothing.", counter, nil,
		func(m *Metrics, s series) { s.value(float64(m.Gossip.Tethers.Examined)) }},
	{"gossip_tether_deaths_total", "Members that this one declared dead, together with other holders of tethers.", counter, nil,
		func(m *Metrics, s series) { s.value(float64(m.Gossip.Tethers.Declared)) }},
	{"gossip_returned_total", "Starts that came back after they had been declared dead in any way.", counter, nil,
		func(m *Metrics, s series) { s.value(float64(m.Gossip.Tethers.Back)) }},
	{"gossip_packets_sent_total", "Packets that gossip has sent.", counter, nil,
		func(m *Metrics, s series) { s.value(float64(m.Gossip.Traffic.PacketsSent)) }},
	{"gossip_packet_sent_bytes_total", "Bytes of the packets that gossip has sent.", counter, nil,
		func(m *Metrics, s series) { s.value(float64(m.Gossip.Traffic.PacketBytesSent)) }},
	{"gossip_streams_total", "Streams that gossip has opened (out) or accepted (in).", counter, []string{"direction"},
		func(m *Metrics, s series) {
			s.value(float64(m.Gossip.Traffic.StreamsAccepted), "in")
			s.value(float64(m.Gossip.Traffic.StreamsDialed), "out")
		}},
	{"gossip_stream_bytes_total", "Bytes that gossip has received (in) and sent (out) over streams of either direction.", counter, []string{"direction"},
		func(m *Metrics, s series) {
			s.value(float64(m.Gossip.Traffic.StreamBytesReceived), "in")
			s.value(float64(m.Gossip.Traffic.StreamBytesSent), "out")
		}},
	{"gossip_refused_total", "Streams, packets and announcements of members that were refused at the gossip port.", counter, []string{"reason"},
		func(m *Metrics, s series) {
			r := m.Gossip.Refused
			s.value(float64(r.TooMany), "too-many-streams")
			s.value(float64(r.TooManyFromOne), "too-many-streams-from-one")
			s.value(float64(r.OtherCluster), "other-cluster")
			s.value(float64(r.Malformed), "malformed")
			s.value(float64(r.OtherCipher), "other-cipher")
			s.value(float64(r.Announcements), "announcement")
		}},
}

var httpFamilies = []family[Metrics]{
	{"http_requests_total", "HTTP requests answered, by route and the first digit of the status.", counter, []string{"method", "route", "code"},
		func(m *Metrics, s series) {
			for _, r := range m.HTTP.Routes {
				for class, count := range r.Answers {
					if count > 0 {
						s.value(float64(count), r.Method, r.Route, codeClass(class))
					}
				}
			}
		}},
	{"http_request_duration_seconds", "How long answers took, by route.", gauge, []string{"method", "route"},
		func(m *Metrics, s series) {
			for _, r := range m.HTTP.Routes {
				if r.Method != otherMethod {
					s.histogram(durationBounds[:], r.Durations[:], r.Duration, r.Method, r.Route)
				}
			}
		}},
	{"http_requests_in_flight", "HTTP requests being answered.", gauge, nil,
		func(m *Metrics, s series) { s.value(float64(m.HTTP.InFlight)) }},
	{"http_lookups_total", "Keys looked up over HTTP, one by one or in batches.", counter, []string{"kind"},
		func(m *Metrics, s series) {
			s.value(float64(m.HTTP.Lookups), "single")
			s.value(float64(m.HTTP.BatchLookups), "batch")
		}},
	{"http_answer_bytes", "Memory that requests and answers under way hold of MaxAnswerBytes.", gauge, nil,
		func(m *Metrics, s series) { s.value(float64(m.HTTP.AnswerBytes)) }},
	{"http_overloaded_total", "HTTP requests refused because answers under way held too much memory, or too many plans were waiting.", counter, nil,
		func(m *Metrics, s series) { s.value(float64(m.HTTP.Overloaded)) }},
}

var guardFamilies = []family[Metrics]{
	{"http_refused_total", "HTTP requests that the guard refused.", counter, []string{"reason"},
		func(m *Metrics, s series) {
			s.value(float64(m.Guard.Limited), "rate-limited")
			s.value(float64(m.Guard.Unauthorized), "unauthorized")
			s.value(float64(m.Guard.Forbidden), "forbidden")
			s.value(float64(m.Guard.CrossOrigin), "cross-origin")
		}},
}

var serverFamilies = []family[Metrics]{
	{"http_connections", "Open connections of the HTTP server, with idle ones.", gauge, nil,
		func(m *Metrics, s series) { s.value(float64(m.Server.Connections)) }},
	{"http_connections_allowed", "The largest number of open connections of the HTTP server. 0 when the program serves HTTP in another way.", gauge, nil,
		func(m *Metrics, s series) { s.value(float64(m.Server.MaxConnections)) }},
	{"tls_certificate_expiry_timestamp_seconds", "When the certificate of the HTTP server, or an intermediate of it, expires, in seconds since 1970. Absent without TLS.", gauge, nil,
		func(m *Metrics, s series) { s.time(m.Server.CertificateExpires) }},
	{"reload_failures_total", "Checks that found changed files which cannot be used, so that their earlier contents stay in use.", counter, []string{"files"},
		func(m *Metrics, s series) {
			s.value(float64(m.Server.ReloadFailures), "tls")
			s.value(float64(m.Guard.ReloadFailures), "tokens")
		}},
}

// codeClass names the status by its first digit.
func codeClass(first int) string {
	if first == 0 {
		return "aborted"
	}
	return fmt.Sprintf("%dxx", first)
}
