package session

import (
	"context"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/serde"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// PacketStream is a gRPC stream of packets, seen from either end.
type PacketStream interface {
	Context() context.Context
	Send(*ptypes.Packet) error
	Recv() (*ptypes.Packet, error)
}

// Relay carries packets to one neighbour.
type Relay interface {
	// GetDistantAddress returns the address of the neighbour.
	GetDistantAddress() mino.Address

	// Stream returns the stream whose end is the end of the neighbour.
	Stream() PacketStream

	// Send hands a packet to the neighbour and returns its Ack. A relay that gets
	// none returns an empty one.
	Send(ctx context.Context, p router.Packet) (*ptypes.Ack, error)

	// Close releases what the relay holds. The connection belongs to whoever
	// acquired it.
	Close() error
}

// RelayOption changes a default of a relay.
type RelayOption interface {
	applyRelay(*relayConfig)
}

type relayConfig struct {
	receipts bool
}

// WithReceipts says that the node at the other end of a stream relay has agreed to
// answer each packet with a receipt, by accepting [LinkKey].
func WithReceipts() RelayOption {
	panic("not yet written")
}

// NewRelay returns a relay that sends each packet in a call of its own over the
// connection, with the metadata.
func NewRelay(stream PacketStream, gw mino.Address, ctx serde.Context, conn grpc.ClientConnInterface,
	md metadata.MD, opts ...RelayOption,
) Relay {
	panic("not yet written")
}

// NewStreamRelay returns a relay that sends the packets over the stream itself.
func NewStreamRelay(gw mino.Address, stream PacketStream, ctx serde.Context, opts ...RelayOption) Relay {
	panic("not yet written")
}

// LinkKey is the metadata key with which the opener of a stream offers what only
// nodes of this library understand, and with which the callee accepts in its
// response header.
const LinkKey = "session-link"

// LinkReceipts is the value of [LinkKey] for a stream relay with receipts.
const LinkReceipts = "receipt"
