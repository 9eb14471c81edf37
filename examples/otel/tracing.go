package main

import (
	"net/http"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// newProvider returns a provider of tracers that exports every span at once. A service
// would export spans in batches: sdktrace.WithBatcher.
func newProvider(exporter sdktrace.SpanExporter) *sdktrace.TracerProvider {
	return sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
}

// settings are the options of each wrapper, so that no global values are needed.
func settings(provider trace.TracerProvider, name string) []otelhttp.Option {
	return []otelhttp.Option{
		otelhttp.WithTracerProvider(provider),
		otelhttp.WithPropagators(propagation.TraceContext{}),
		otelhttp.WithSpanNameFormatter(func(string, *http.Request) string { return name }),
	}
}

// traced is the handler wrapper: it makes a span for every incoming request, which
// continues the caller's trace.
func traced(next http.Handler, provider trace.TracerProvider, name string) http.Handler {
	return otelhttp.NewHandler(next, name, settings(provider, name)...)
}

// wrap is the RoundTripper hook, for route.Options.Wrap: it makes a span for every
// attempt to forward a request, and sends the trace to the receiver.
func wrap(provider trace.TracerProvider, name string) func(http.RoundTripper) http.RoundTripper {
	return func(next http.RoundTripper) http.RoundTripper {
		return otelhttp.NewTransport(next, settings(provider, name)...)
	}
}
