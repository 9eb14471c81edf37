package main

import (
	"net/http"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// newProvider returns a provider of tracers that hands every span over at once. A
// service would batch them: sdktrace.WithBatcher.
func newProvider(exporter sdktrace.SpanExporter) *sdktrace.TracerProvider {
	return sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
}

// settings are given to each wrapper, so that nothing global is needed.
func settings(provider trace.TracerProvider, name string) []otelhttp.Option {
	return []otelhttp.Option{
		otelhttp.WithTracerProvider(provider),
		otelhttp.WithPropagators(propagation.TraceContext{}),
		otelhttp.WithSpanNameFormatter(func(string, *http.Request) string { return name }),
	}
}

// traced is the handler wrapper: a span for every request that comes in, which
// continues the caller's trace.
func traced(next http.Handler, provider trace.TracerProvider, name string) http.Handler {
	return otelhttp.NewHandler(next, name, settings(provider, name)...)
}

// wrap is the RoundTripper hook, for route.Options.Wrap: a span for every
// attempt to forward a request, which tells the receiver the trace.
func wrap(provider trace.TracerProvider, name string) func(http.RoundTripper) http.RoundTripper {
	return func(next http.RoundTripper) http.RoundTripper {
		return otelhttp.NewTransport(next, settings(provider, name)...)
	}
}
