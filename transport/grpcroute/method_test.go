package grpcroute

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/clusterkit/clusterkit/transport/route"
)

// TestMethodsAreRoutedAsTheyDeclare: by idempotency_level in their proto file.
func TestMethodsAreRoutedAsTheyDeclare(t *testing.T) {
	method := func(name string, level *descriptorpb.MethodOptions_IdempotencyLevel) *descriptorpb.MethodDescriptorProto {
		return &descriptorpb.MethodDescriptorProto{
			Name: &name, InputType: new(".grpcroute.declared.M"), OutputType: new(".grpcroute.declared.M"),
			Options: &descriptorpb.MethodOptions{IdempotencyLevel: level},
		}
	}
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: new("grpcroute/declared.proto"), Package: new("grpcroute.declared"), Syntax: new("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{{Name: new("M")}},
		Service: []*descriptorpb.ServiceDescriptorProto{{Name: new("KV"), Method: []*descriptorpb.MethodDescriptorProto{
			method("Read", descriptorpb.MethodOptions_NO_SIDE_EFFECTS.Enum()),
			method("Put", descriptorpb.MethodOptions_IDEMPOTENT.Enum()),
			method("Add", nil),
		}}},
	}, nil)
	require.NoError(t, err)
	if _, err := protoregistry.GlobalFiles.FindFileByPath(file.Path()); err != nil { // with -count it is there
		require.NoError(t, protoregistry.GlobalFiles.RegisterFile(file))
	}
	var d declared
	for range 2 { // the second time it is remembered
		require.Equal(t, Method{route.Nearest, true, true}, d.method("/grpcroute.declared.KV/Read"))
		require.Equal(t, Method{route.PrimaryOnly, true, false}, d.method("/grpcroute.declared.KV/Put"))
		require.Equal(t, Method{route.PrimaryOnly, false, false}, d.method("/grpcroute.declared.KV/Add"))
		require.Equal(t, Method{route.PrimaryOnly, false, false}, d.method("/grpcroute.declared.KV/None"))
		require.Equal(t, Method{route.PrimaryOnly, false, false}, d.method("no method"))
	}
}
