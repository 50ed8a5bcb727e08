package session

import (
	"github.com/minogrpc/session/mino"
	"google.golang.org/grpc"
)

// ConnectionManager gives a session the connections to its neighbours. All
// methods may be called from several goroutines at once.
type ConnectionManager interface {
	// Len returns the number of connections that are open.
	Len() int

	// Acquire returns the connection to an address. It must not wait for the
	// network. Each Acquire without an error is paired with one Release.
	Acquire(mino.Address) (grpc.ClientConnInterface, error)

	// Release gives a connection back.
	Release(mino.Address)
}
