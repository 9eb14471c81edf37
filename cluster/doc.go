// Package cluster turns a set of processes into a cluster that agrees, without
// a leader, on which members own which key.
//
// Every process makes a [Cluster], starts it, and from then on answers "who owns
// this key?" from memory:
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
// Gossip tells each process who the members are; from that each derives the
// same table of owners on its own. There is no coordinator, no log and no lock:
// for as long as news travels, about a second, two members may answer
// differently. A [ring.Token] tells whether two members mean the same owners,
// and [Cluster.WaitConverged] whether all of them do. What must not tolerate
// that, a bank transfer for example, needs consensus and another library.
//
// While the network is split each side goes on with the members it sees, and
// says so in [Cluster.Health].
package cluster
