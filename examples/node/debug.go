package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/minogrpc/session/minogrpc/debug"
)

// serveDebug serves the debug page of the node at an address, until the function that it returns is
// called. Nothing else is served there.
func (n *node) serveDebug(ctx context.Context, addr string) (stop func(), err error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("-debug: %w", err)
	}

	srv := &http.Server{
		Handler:           debug.Handler(n, debug.WithDescendants()),
		ReadHeaderTimeout: time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 1 << 14,
	}
	done := make(chan struct{})

	go func() { // stop waits for it
		defer close(done)

		_ = srv.Serve(listener) // it ends by stop
	}()

	n.screen.Printf("Debug    http://%s/\n", listener.Addr())

	return func() {
		_ = srv.Close() // a reader asks again

		<-done
	}, nil
}
