// Command otel shows how to add OpenTelemetry: with a wrapper around the handler of a
// service, and a hook in the transport of requests between members. It runs two members
// with a router each, sends one of them a request whose key the other owns, and prints
// the spans of both.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
)

func main() {
	exporter, err := stdouttrace.New(stdouttrace.WithWriter(os.Stdout), stdouttrace.WithPrettyPrint())
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	answer, err := demonstrate(ctx, exporter)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("the answer:", answer)
}
