package transport

import (
	_ "embed"
	"net/http"

	"github.com/clusterkit/clusterkit/transport/internal/wire"
)

// openAPI describes the interface, in OpenAPI 3.1. It is written by hand. A test
// compares every route, parameter, status and body with it.
//
//go:embed openapi.json
var openAPI []byte

// describe answers with the description of all routes.
func describe(w http.ResponseWriter, r *http.Request) error {
	wire.Write(w, r, http.StatusOK, wire.JSON, openAPI)
	return nil
}
