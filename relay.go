package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/deadline"
	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/serde"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// LinkKey is the metadata key whose values only nodes of this library understand. The opener of a
// stream offers a duplex link under it, and the callee accepts in its response header. Other nodes
// ignore it.
const LinkKey = "session-link"

// AncestorKey is the metadata key under which an overlay may tell a child which nodes are above its
// parent: one value for each node, the text of its address. It belongs to the metadata of
// NewSession. A session does not read it. The session passes it on with the streams to its
// children, and not with calls. With [WithNeighborsOnly], a session that opens a stream to a player
// behind children that it could not reach adds these children.
const AncestorKey = "session-ancestor"

// OrchestratorKey is the metadata key under which an overlay may tell a child which node has opened the
// stream: the text of the address of the orchestrator, as a follower. It belongs to the metadata of
// NewSession. The session passes it on with the streams to its children, and not with calls. A root
// has it from its orchestrator, and any other player from its parent, which may lie.
const OrchestratorKey = "session-orchestrator"

// LinkGoodbye is the value of [LinkKey] by which a parent promises a child to close its sending
// direction when the stream is over. It needs no answer.
const LinkGoodbye = "goodbye"

// LinkRoot is the value of [LinkKey] by which a parent says that it is the root of the tree. No
// other node looks for the children of a lost root, so the children do not wait for another parent.
const LinkRoot = "root"

// LinkRefused is the value of [LinkKey] in the trailer of a failed call of Forward. It says that
// this node has not taken the packet. An overlay sets it for each error of RecvPacket that wraps
// [ErrNotTaken], and when it refuses the call itself. Without it the caller cannot know what a
// failed call has done.
//
// An overlay also sets it in the trailer of a Stream that it refuses before a parent is registered:
// nothing that has come with the stream was taken. See [Offer] Early.
const LinkRefused = "refused"

// PacketStream is a gRPC stream of packets, seen from either end.
type PacketStream interface {
	Context() context.Context
	Send(*ptypes.Packet) error
	Recv() (*ptypes.Packet, error)
}

// ConnectedStream is a [PacketStream] of a server that knows its connection. gRPC says Canceled
// both when the caller cancels a stream and when the connection breaks. With this interface a
// session can tell the two apart for an existing parent, which says no goodbye. Without it, the
// session waits a second for another parent whenever the stream of such a parent ends.
type ConnectedStream interface {
	PacketStream

	// Connected tells whether the connection of the stream is open. The session calls it after Recv
	// has returned an error. At that time it must return true only if the connection has not
	// broken.
	Connected() bool
}

// BrokenStream is a [ConnectedStream] that knows why its connection has broken. Observers and
// the outcomes of messages then name that cause in place of gRPC's Canceled.
type BrokenStream interface {
	ConnectedStream

	// Broken returns why the connection has broken, or nil if the stream does not know. The session
	// calls it when Connected has returned false.
	Broken() error
}

// MeteredStream is a [PacketStream] that knows what comes over its connection. On a slow connection
// the frames of a stream may wait a long time behind those of other streams. With this interface a
// session takes any bytes as a sign of life, and tells the neighbour that it hears something.
// Without it only the frames of the stream count. A stream that a [ConnManager] has dialled needs
// no such interface: the session knows its connection.
type MeteredStream interface {
	PacketStream

	// Reads returns how many bytes have been read from the connection, and when the last of them
	// were read. A zero time means that the stream does not know. Reads must not wait. Several
	// goroutines call it at any time.
	Reads() (bytes uint64, last time.Time)
}

// Relay carries packets to one neighbour. A session calls Send from several goroutines at once,
// and the other methods at any time.
type Relay interface {
	// GetDistantAddress returns the address of the neighbour.
	GetDistantAddress() mino.Address

	// Stream returns the stream to the neighbour. When that stream ends, the neighbour counts as
	// gone.
	Stream() PacketStream

	// Send hands a packet to the neighbour and returns its Ack. A relay that gets no Ack returns an
	// empty one. Send should return when the context is done; otherwise other packets for the same
	// neighbour have to wait.
	//
	// An error with the gRPC code ResourceExhausted, DeadlineExceeded or InvalidArgument concerns
	// only the packet; ResourceExhausted and InvalidArgument say that the neighbour has not taken
	// it. Any other error means that the neighbour takes no more packets, and that nobody knows
	// what has become of this one.
	Send(ctx context.Context, p router.Packet) (*ptypes.Ack, error)

	// Close says goodbye: it closes the sending direction of a stream that this node opened. It
	// does not close the connection, which belongs to the code that acquired it.
	Close() error
}

// RelayOption changes a default of a relay.
type RelayOption interface {
	applyRelay(*relayConfig)
}

type relayConfig struct {
	goodbye, root, news bool
}

type relayOptionFunc func(*relayConfig)

func (f relayOptionFunc) applyRelay(c *relayConfig) { f(c) }

// WithGoodbye says that the node at the other end closes its sending direction when the stream is
// over. The node has promised that with [LinkGoodbye]. A stream that ends without such a goodbye
// has broken. A session that loses its last parent in this way becomes an orphan, and waits for
// another parent for the time of [WithAdoptionGrace].
func WithGoodbye() RelayOption {
	return relayOptionFunc(func(c *relayConfig) { c.goodbye = true })
}

// WithRoot says that the node at the other end is the root of the tree. The node has said so with
// [LinkRoot]. If a session has no other parent left after the loss of the root, it does not wait
// for the time of [WithAdoptionGrace], but only for that of [WithResumeTimeout]: the root may come
// back, and no other node adopts the session.
func WithRoot() RelayOption {
	return relayOptionFunc(func(c *relayConfig) { c.root = true })
}

// withNews says that the node at the other end takes news of players. The node has said so with
// [LinkNews].
func withNews() RelayOption {
	return relayOptionFunc(func(c *relayConfig) { c.news = true })
}

// carrier is implemented by the relays of this package. A session uses it instead of Send,
// because it also carries the identity of a packet.
type carrier interface {
	// carry hands over a parcel and returns the Ack, as Send does.
	carry(ctx context.Context, p *link.Parcel) (*ptypes.Ack, error)

	// saysGoodbye tells whether the neighbour has promised a goodbye, and isRoot whether it has
	// said that it is the root.
	saysGoodbye() bool
	isRoot() bool

	// takesNews tells whether the neighbour has said that it takes news of players.
	takesNews() bool
}

// unicastRelay implements Relay and carrier with one call per packet.
type unicastRelay struct {
	endpoint

	client ptypes.OverlayClient
	md     metadata.MD

	// release ends a stream that DialRelay has opened. It is nil for any other.
	release func()
}

// NewRelay returns a relay that sends each packet in a call of its own over the connection. It
// sends the metadata unchanged: apiuri, streamid, and this node as the gateway. A session only
// watches the stream for its end.
func NewRelay(stream PacketStream, gw mino.Address, ctx serde.Context, conn grpc.ClientConnInterface,
	md metadata.MD, opts ...RelayOption,
) Relay {
	return newUnicastRelay(stream, gw, ctx, conn, md, opts)
}

func newUnicastRelay(stream PacketStream, gw mino.Address, ctx serde.Context, conn grpc.ClientConnInterface,
	md metadata.MD, opts []RelayOption,
) *unicastRelay {
	return &unicastRelay{
		endpoint: newEndpoint(gw, stream, ctx, opts),
		client:   ptypes.NewOverlayClient(conn),
		md:       md.Copy(),
	}
}

// Send implements Relay.
func (r *unicastRelay) Send(ctx context.Context, p router.Packet) (*ptypes.Ack, error) {
	return r.carry(ctx, &link.Parcel{Packet: p})
}

func (r *unicastRelay) carry(ctx context.Context, p *link.Parcel) (*ptypes.Ack, error) {
	packet, err := r.encode(p)
	if err != nil {
		return nil, err
	}

	var header, trailer metadata.MD

	ack, err := r.client.Forward(metadata.NewOutgoingContext(ctx, r.md), packet,
		grpc.Header(&header), grpc.Trailer(&trailer))

	switch {
	case err == nil:
		return ack, nil
	case slices.Contains(trailer.Get(LinkKey), LinkRefused):
		return nil, fmt.Errorf("%w: %w", link.ErrRefused, err)
	case len(header) > 0 && status.Code(err) == codes.ResourceExhausted:
		// A refusal has only a trailer. With a header the neighbour has taken the packet.
		return nil, fmt.Errorf("%w: %w", link.ErrAnswer, err)
	default:
		return nil, err
	}
}

// streamRelay implements Relay and carrier with the stream itself.
type streamRelay struct {
	endpoint

	// writing is held during a write, because a stream takes one packet at a time. It is a
	// channel so that the wait for it can be given up.
	writing chan struct{}
	// shut is set when the sending direction has been closed. It belongs to writing.
	shut bool
}

// NewStreamRelay returns a relay that writes the packets to the stream itself. A root uses it for
// an orchestrator that offers no duplex link. The orchestrator must not use it: an existing root
// ends when a packet comes over the stream of its parent. A packet counts as delivered when the
// relay has written it. The relay does not read the stream: Listen does, or the overlay after
// SetPassive.
func NewStreamRelay(gw mino.Address, stream PacketStream, ctx serde.Context, opts ...RelayOption) Relay {
	return &streamRelay{
		endpoint: newEndpoint(gw, stream, ctx, opts),
		writing:  make(chan struct{}, 1),
	}
}

// Send implements Relay. It returns an empty Ack when the packet is written.
func (r *streamRelay) Send(ctx context.Context, p router.Packet) (*ptypes.Ack, error) {
	return r.carry(ctx, &link.Parcel{Packet: p})
}

func (r *streamRelay) carry(ctx context.Context, p *link.Parcel) (*ptypes.Ack, error) {
	packet, err := r.encode(p)
	if err != nil {
		return nil, err
	}

	return &ptypes.Ack{}, r.write(ctx, packet)
}

func (r *streamRelay) write(ctx context.Context, packet *ptypes.Packet) error {
	select {
	case r.writing <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}

	defer func() { <-r.writing }()

	if r.shut {
		return errShut
	}

	return r.stream.Send(packet)
}

// Close implements Relay. It fails when a write takes longer than a goodbye may.
func (r *streamRelay) Close() error {
	patience, over := deadline.After(link.Goodbye)
	defer patience.Stop()

	select {
	case r.writing <- struct{}{}:
	case <-over:
		return errBusy
	}

	defer func() { <-r.writing }()

	r.shut = true

	return r.endpoint.Close()
}

var (
	errShut = errors.New("the relay has been closed")
	errBusy = errors.New("the stream is blocked")
)

// endpoint is what unicastRelay and streamRelay have in common.
type endpoint struct {
	relayConfig

	gw     mino.Address
	stream PacketStream
	ctx    serde.Context
}

func newEndpoint(gw mino.Address, stream PacketStream, ctx serde.Context, opts []RelayOption) endpoint {
	e := endpoint{gw: gw, stream: stream, ctx: ctx}
	for _, opt := range opts {
		opt.applyRelay(&e.relayConfig)
	}

	return e
}

func (e *endpoint) saysGoodbye() bool {
	return e.goodbye
}

func (e *endpoint) isRoot() bool {
	return e.root
}

func (e *endpoint) takesNews() bool {
	return e.news
}

// GetDistantAddress implements Relay.
func (e *endpoint) GetDistantAddress() mino.Address {
	return e.gw
}

// Stream implements Relay.
func (e *endpoint) Stream() PacketStream {
	return e.stream
}

// Close implements Relay.
func (e *endpoint) Close() error {
	half, ok := e.stream.(interface{ CloseSend() error })
	if !ok {
		return nil
	}

	return half.CloseSend()
}

// encode returns what goes over the wire for a parcel.
func (e *endpoint) encode(p *link.Parcel) (*ptypes.Packet, error) {
	data, err := contain.Call(func() ([]byte, error) { return p.Packet.Serialize(e.ctx) })
	if err != nil {
		return nil, fmt.Errorf("%w: failed to serialize: %w", link.ErrPacket, err)
	}

	packet := &ptypes.Packet{Serialized: data, News: p.News(), Trace: p.Trace()}
	if len(p.Origin) > 0 {
		packet.Origin = p.Origin
		packet.Sequence = p.Sequence
		packet.HopLimit = p.HopLimit
		packet.BudgetMs = link.BudgetFor(time.Until(p.Deadline))
	}

	return packet, nil
}
