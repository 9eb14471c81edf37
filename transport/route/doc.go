// Package route sends the requests of a service to the owners of their keys.
//
// A [Router] stands in front of the service's own handler on every member:
//
//	router, err := route.New(cluster, handler, route.Options{
//		Service: "orders",
//		Key:     func(r *http.Request) (string, bool) { return strings.CutPrefix(r.URL.Path, "/users/") },
//	})
//	if err != nil {
//		return err
//	}
//	defer router.Close()
//	http.ListenAndServe(":9000", router)
//
// It forwards a request at most once, and runs one that is not idempotent at most once.
// It keeps no copy of data, and ignores load: only the ring, the zone and the [Policy]
// decide which owner answers.
package route
