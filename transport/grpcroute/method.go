package grpcroute

import (
	"strings"
	"sync"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/clusterkit/clusterkit/transport/route"
)

// declared reads how methods are routed from their proto files, which generated code
// registers. It remembers what it has read.
type declared struct{ methods sync.Map }

func (d *declared) method(full string) Method {
	if m, ok := d.methods.Load(full); ok {
		return m.(Method)
	}
	m := Method{Policy: route.PrimaryOnly}
	service, name, _ := strings.Cut(strings.TrimPrefix(full, "/"), "/")
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service + "." + name))
	if err != nil {
		return m // any text can be asked for: it is not remembered
	}
	if o, ok := found.Options().(*descriptorpb.MethodOptions); ok {
		switch o.GetIdempotencyLevel() {
		case descriptorpb.MethodOptions_NO_SIDE_EFFECTS:
			m = Method{Policy: route.Nearest, Idempotent: true, Reads: true}
		case descriptorpb.MethodOptions_IDEMPOTENT:
			m.Idempotent = true
		}
	}
	d.methods.Store(full, m)
	return m
}

// isOfServer reports whether a method is about a server, and not of a service that it runs: of the
// health of the server, its services, or its connections. Their packages are those of gRPC itself.
func isOfServer(method string) bool { return strings.HasPrefix(method, "/grpc.") }
