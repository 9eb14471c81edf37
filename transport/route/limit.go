package route

import (
	"cmp"
	"net/http"
	"strings"

	"github.com/clusterkit/clusterkit/transport/internal/wire"
)

const (
	// headerRoom is what a router adds to the header of a request at most: the mark, the
	// timeout, and the headers of a proxy.
	headerRoom = 1536
	// slackHTTP1 and slackHTTP2 are what a server of net/http takes beyond
	// http.Server.MaxHeaderBytes. HTTP/2 counts fieldHTTP2 bytes more for a header.
	slackHTTP1 = 4096
	slackHTTP2 = 320
	fieldHTTP2 = 32
)

// tooLong refuses a request whose header would be too long for the server of its owner if
// this router had to forward it. So the limit is the same at every member. Over HTTP/1.1 it
// is never below http.Server.MaxHeaderBytes.
func tooLong(w http.ResponseWriter, r *http.Request) bool {
	server, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	if !ok {
		return false
	}
	most, field := slackHTTP1, len(": \r\n")
	if r.ProtoMajor == 2 {
		most, field = slackHTTP2, fieldHTTP2
	}
	most += cmp.Or(server.MaxHeaderBytes, http.DefaultMaxHeaderBytes)
	size := headerRoom + len(r.Method) + len(r.RequestURI) + len(r.Host)
	for name, values := range r.Header {
		for _, value := range values {
			size += len(name) + len(value) + field
			if name == "Cookie" && r.ProtoMajor == 2 { // net/http sends each cookie as a field
				size += strings.Count(value, ";") * (len(name) + field)
			}
		}
	}
	if size <= most {
		return false
	}
	refuse(w, r, wire.New(wire.Blank, http.StatusRequestHeaderFieldsTooLarge,
		"the header of the request is longer than %d bytes: raise MaxHeaderBytes of the server", most-headerRoom))
	return true
}
