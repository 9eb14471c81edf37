// Package membership says who is in the cluster.
//
// It runs hashicorp/memberlist gossip and keeps, on every member, the list of
// members believed alive with what each says of itself: region, zone, weight,
// addresses, the configurations it can run, and where it stands in its life.
// Changes come as an ordered stream of events with the member before and after.
//
//	m, err := membership.New(membership.Options{
//		ClusterName: "orders", NodeID: "orders-1", GossipAddr: "10.0.0.7:7946",
//		PartitionCount: 4096, Configurations: []string{"rf3:balanced/1"},
//		Discovery: membership.Static("orders-0:7946"),
//	})
//	if err != nil {
//		return err
//	}
//	if err := m.Start(ctx); err != nil {
//		return err
//	}
//	defer m.Stop(context.Background())
//
// On top of memberlist it adds what services need and memberlist leaves open:
// a stable identity apart from the gossip name, so that a restart elsewhere is
// seen at once and the newest start of a NodeID speaks for it; leave told apart
// from failure; joining for as long as it takes and again after a partition;
// admission by configuration; agreement, the proof that all members hold the
// same view; and a gossip port that a stranger cannot exhaust.
//
// It knows nothing of placement: what members agree on is an opaque fingerprint
// that its user publishes. Most users want package cluster, which uses this one.
package membership
