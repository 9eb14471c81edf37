// Package membership keeps the list of the members of a cluster.
//
// It runs hashicorp/memberlist gossip. Every member holds the list of members believed alive or
// away, with what each announces: its region, zone, weight, addresses, configurations and
// state.
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
// It adds to memberlist what services need:
//
//   - An identity that is stable, apart from the gossip name: a restart at another
//     address is seen at once, and the newest start of a NodeID is its member.
//   - A leave differs from a failure, and from a restart: a member that is [Away] stays in
//     the list for the time that it announced.
//   - A member tries to join until it succeeds, and joins again after a split of the
//     network.
//   - Members without a configuration in common refuse each other and say what differs.
//   - Agreement: the proof that all members hold the same view.
//   - A gossip port that a process outside the cluster cannot exhaust.
//
// The package knows nothing of placement. Members agree on a fingerprint that it cannot
// interpret. It does not decide when a member owns partitions, nor act on events:
// package cluster does both, through [Drive], and is what most programs import.
package membership
