// Package cluster makes a set of processes agree, without a leader, on which of
// them own which key.
//
// Every process makes a [Cluster] and starts it. From then on the process answers
// "which members own this key?" from its own memory:
//
//	c, err := cluster.New(cluster.Options{
//		ClusterName: "orders", NodeID: "orders-1", Zone: "eu-1a",
//		GossipAddr: "0.0.0.0:7946", HTTPAddr: ":8080",
//		Seeds: []string{"orders-0:7946"},
//	})
//	if err != nil {
//		return err
//	}
//	if err := c.Start(ctx); err != nil {
//		return err
//	}
//	defer c.Stop(context.Background())
//	owner, _ := c.Lookup("user:42").Primary()
//
// # How owners are found
//
// A key belongs to one of a fixed number of partitions. A partition belongs to a few
// members, its owners; the first of them is the primary. The ring is the table of all
// partitions and their owners. Gossip tells each process which members there are, and
// each process computes the same ring from these members. There is no coordinator,
// no log and no lock.
//
// The ring has a target while members join or drain: the ring after these changes.
// Lookups answer from the ring. The owners in the target receive data meanwhile.
//
// # What agrees, and when
//
// While news travels, for about a second, two members may answer differently. A
// [ring.Token] tells whether two members mean the same owners of one partition.
// [Cluster.WaitConverged] waits until all members hold the same view. An operation
// that must never see two answers, a bank transfer for example, needs consensus and
// another library.
//
// While the network is split, each side continues with the members that it sees.
// [Cluster.Health] then reports the missing members.
//
// # What to use for which task
//
//   - Configure and run: [Options], [New], [Cluster.Start], [Cluster.WaitReady].
//   - Find owners: [Cluster.Lookup], [Cluster.Ring], [Cluster.NodesForKey].
//   - Send requests to owners: [Cluster.Router], [Cluster.Client].
//   - Follow changes: [Cluster.Events], [Cluster.Health], [Cluster.Metrics].
//   - Move data when owners change: [Mover], [Journal], [Cluster.Handoff].
//   - Change what runs: [Cluster.Update], [Cluster.Plan], [Configuration], [Keys].
//   - End: [Cluster.Drain] hands all data over, [Cluster.Stop] leaves.
package cluster
