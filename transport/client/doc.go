// Package client sends requests to members over HTTP, from other members and from any
// other program.
//
// [Client] has a method for each route of the HTTP interface of package transport. It
// knows one or several members. [Pool] is the round tripper that it uses. Members use a
// pool for all requests between them, too:
//
//	c, err := client.New(client.Options{URLs: []string{"https://orders-1:8443"}})
//	if err != nil {
//		return err
//	}
//	defer c.Close()
//	answer, err := c.Lookup(ctx, "user:42", client.Near{})
//
// [Client.Mirror] keeps a copy of the table current and answers lookups from it.
//
// A program that imports this package alone links no gossip and no Prometheus.
package client
