package grpcroute

import (
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// callOptions are the options of a call, as far as they matter to a router.
type callOptions struct {
	all      []grpc.CallOption // without finished
	waits    bool              // until its context ends, for an owner
	finished []func(error)     // gRPC would call them for each attempt of a unary call
	trailers []*metadata.MD
}

func readOptions(options []grpc.CallOption) callOptions {
	o := callOptions{all: options}
	for i, option := range options {
		switch option := option.(type) {
		case grpc.FailFastCallOption:
			o.waits = !option.FailFast
		case grpc.TrailerCallOption:
			o.trailers = append(o.trailers, option.TrailerAddr)
		case grpc.OnFinishCallOption:
			if o.finished == nil {
				o.all = append([]grpc.CallOption(nil), options[:i]...)
			}
			o.finished = append(o.finished, option.OnFinish)
			continue
		}
		if o.finished != nil {
			o.all = append(o.all, option)
		}
	}
	return o
}

// ended ends a unary call with its error.
func (o *callOptions) ended(err error) error {
	for _, trailer := range o.trailers {
		withoutOurs(*trailer)
	}
	for _, f := range o.finished {
		f(err)
	}
	return err
}

// withoutOurs removes from the trailer of a handler what the router of the server has added.
func withoutOurs(trailer metadata.MD) metadata.MD {
	if v := trailer[refusedKey]; len(v) > 0 && v[len(v)-1] == noRefusal {
		delete(trailer, refusedKey)
		delete(trailer, pushbackKey)
	}
	return trailer
}
