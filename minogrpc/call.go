package minogrpc

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"
)

// client is what a connection of gRPC tells of itself.
type client interface {
	GetState() connectivity.State
	Connect()
	WaitForStateChange(ctx context.Context, state connectivity.State) bool
}

// ready waits until a call over the connection need not set it up, or the attempt to has failed. It
// takes a turn for that. How many connections a node sets up at once must not depend on how many calls
// its application makes. The error has a status.
func (m *Minogrpc) ready(ctx context.Context, conn grpc.ClientConnInterface) error {
	own, ok := conn.(client)
	if !ok || own.GetState() == connectivity.Ready {
		return nil
	}

	done, err := m.dials.Wait(ctx)
	if err != nil {
		return status.FromContextError(ctx.Err()).Err()
	}

	defer done()

	for {
		state := own.GetState()

		switch state {
		case connectivity.Idle:
			own.Connect()
		case connectivity.Connecting:
		default:
			return nil
		}

		if !own.WaitForStateChange(ctx, state) {
			return nil // The call finds that out, too.
		}
	}
}
