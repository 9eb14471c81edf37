package transport

import (
	"net/http"

	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
)

// Refuse answers a request with a refusal, as the handler does: for middleware and
// handlers of your own. Headers that belong to its status, such as Allow and
// Retry-After, are the caller's to set before. Empty fields get a meaning: no Status is
// 500, no Type is about:blank, and no Title is what the status is called.
func Refuse(w http.ResponseWriter, r *http.Request, refusal *api.Refusal) { wire.Refuse(w, r, refusal) }
