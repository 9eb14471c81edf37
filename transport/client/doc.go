// Package client asks members over HTTP, from members and from programs that are none.
//
// [Client] asks what the HTTP interface of package transport answers, of one or several
// members. [Pool] is the round tripper below it, for everything that members ask of
// each other:
//
//	c, err := client.New(client.Options{URLs: []string{"https://orders-1:8443"}})
//	if err != nil {
//		return err
//	}
//	defer c.Close()
//	answer, err := c.Lookup(ctx, "user:42", client.Near{})
//
// A program that imports this package alone links no gossip and no Prometheus. The
// package keeps no copy of the ring: every answer comes from a member.
package client
