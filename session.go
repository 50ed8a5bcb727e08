package session

import (
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/serde"
	"google.golang.org/grpc/metadata"
)

// HandshakeKey is the metadata key of the handshake that a parent sends to a
// child when it opens the stream.
const HandshakeKey = "handshake"

// Session is one node's part in one distributed RPC: it sends and receives the
// messages of the application and passes on those of the others. All methods may
// be called from several goroutines at once.
type Session interface {
	mino.Sender
	mino.Receiver

	// GetNumParents returns the number of parents that are registered. A session
	// that has lost its last one is closed.
	GetNumParents() int

	// Listen registers a parent with its routing table, closes ready, and reads the
	// parent's stream until that ends, the session is closed, or the same parent is
	// registered again. The parent is no parent any more when Listen returns. The
	// packets that come over the stream are treated as by RecvPacket.
	//
	// When the session cannot take a parent because it is closed, Listen returns at
	// once and ready stays open. A nil ready is allowed.
	Listen(parent Relay, table router.RoutingTable, ready chan struct{})

	// SetPassive registers a parent whose stream somebody else reads. It stays
	// registered until the session is closed. What comes over its stream must be
	// given to RecvPacket.
	SetPassive(parent Relay, table router.RoutingTable)

	// Close ends the session. What waits for a neighbour is given up to a second to
	// be sent, then everything is released in the background; [Lifecycle] tells
	// when. It may be called at any moment and more than once.
	Close()

	// RecvPacket takes a packet that a neighbour has sent, puts it into the queue if
	// it is for this node, and sends it on to the others that it is for. It returns
	// when the outcome of every destination is known, with one error text in the
	// Ack for each that was not reached. It returns an error when the packet cannot
	// be decoded.
	RecvPacket(from mino.Address, p *ptypes.Packet) (*ptypes.Ack, error)
}

// Lifecycle is implemented by the sessions that [NewSession] returns. It is for
// the overlay that runs them.
type Lifecycle interface {
	// CloseRecv ends the receiving part of the session: Recv gives what is queued
	// and then io.EOF, and packets for this node are refused as closed, while those
	// for others are still passed on. An overlay calls it when the handler returns.
	CloseRecv()

	// CloseWithError is Close, and makes Recv return the cause instead of io.EOF
	// after what is queued. The first cause counts. A nil cause is none.
	CloseWithError(cause error)

	// Done returns a channel that is closed when the session has been closed and
	// its last goroutine, stream and connection have been released.
	Done() <-chan struct{}
}

// NewSession returns a session without parents. The metadata is sent with every
// stream and call to a neighbour, together with the gateway and the handshake
// that the session adds. The connections to neighbours come from the manager.
func NewSession(md metadata.MD, me mino.Address, msgFac serde.Factory, pktFac router.PacketFactory,
	ctx serde.Context, connMgr ConnectionManager, opts ...Option,
) Session {
	panic("not yet written")
}
