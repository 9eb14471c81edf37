// Package grpcroute sends the gRPC calls of a service to the owners of their keys.
//
// Every member makes a [Router], and puts it into its server and its clients. So does a
// process that owns nothing, an observer, for its clients:
//
//	router, err := grpcroute.New(c.Routing(), grpcroute.Options{Service: "kv"})
//	if err != nil {
//		return err
//	}
//	server := grpc.NewServer(router.ServerOptions()...)
//	conn, err := router.NewClient(grpc.WithTransportCredentials(credentials))
//	if err != nil {
//		return err
//	}
//	defer conn.Close()
//	answer, err := pb.NewKVClient(conn).Get(grpcroute.WithKey(ctx, "user:42"), request)
//
// The members announce the addresses of their gRPC servers as a service, in
// membership.Member.Services.
//
// The client sends a call to an owner by its own view. The receiver checks by its own
// view that it may answer, and refuses the call otherwise, before the handler runs. Then
// the client sends the call to another owner, or waits until the views agree. So a call
// runs at most once, unless it is idempotent: then it may run once more after a
// connection broke under it.
//
// The package is a module of its own, so that only its users depend on gRPC. It
// registers one balancer with gRPC, under the name "clusterkit_key".
package grpcroute
