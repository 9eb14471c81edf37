package transport

import (
	"net/http"

	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
)

// Refuse answers a request with a refusal, as the handler does. It is for middleware
// and handlers of your own. Set headers that belong to the status, such as Allow and
// Retry-After, before the call. Refuse fills in empty fields: Status becomes 500, Type
// about:blank, and Title the name of the status.
func Refuse(w http.ResponseWriter, r *http.Request, refusal *api.Refusal) { wire.Refuse(w, r, refusal) }
