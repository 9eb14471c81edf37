package route

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
)

// refuse answers a request of a caller with a refusal. A client of gRPC drops any answer that is not of
// gRPC, and with it the reason.
func refuse(w http.ResponseWriter, r *http.Request, p *api.Refusal) {
	kind := r.Header.Get("Content-Type")
	if !strings.HasPrefix(kind, "application/grpc") {
		wire.Refuse(w, r, p)
		return
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Grpc-Status", strconv.Itoa(codeOf(p.Status)))
	h.Set("Grpc-Message", percentEncoded(p.Detail))
	w.WriteHeader(http.StatusOK)
}

// codeOf returns the status code of gRPC that a client has for a status of HTTP, or a better one.
func codeOf(status int) int {
	const unknown, deadlineExceeded, resourceExhausted, internal, unavailable = 2, 4, 8, 13, 14
	switch status {
	case http.StatusBadGateway, http.StatusServiceUnavailable:
		return unavailable
	case http.StatusGatewayTimeout:
		return deadlineExceeded
	case http.StatusRequestEntityTooLarge, http.StatusRequestHeaderFieldsTooLarge:
		return resourceExhausted
	case http.StatusBadRequest, http.StatusInternalServerError:
		return internal
	default:
		return unknown
	}
}

// percentEncoded encodes a message as gRPC asks for.
func percentEncoded(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c >= ' ' && c <= '~' && c != '%' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
