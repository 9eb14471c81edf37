// Command grpc shows a gRPC service whose calls go to the owners of their keys. It runs three
// members and an observer, which makes calls while one member drains. It ends by itself.
package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	err := demonstrate(ctx, os.Stdout)
	cancel()
	stop()
	if err != nil {
		log.Fatal(err)
	}
}
