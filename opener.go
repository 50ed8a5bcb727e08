package session

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/internal/offer"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/serde"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// errNoConn is the error of a dial to a neighbour that takes packets in calls alone.
var errNoConn = errors.New("the neighbour accepts no duplex link, and there is no connection for calls")

// OpenStream is a stream that an overlay has opened to a neighbour.
type OpenStream struct {
	Stream PacketStream

	// Header is the response header with which the neighbour has accepted the stream.
	Header metadata.MD

	// Conn is the connection of the stream, and Calls are the metadata of calls over it: apiuri,
	// streamid, and this node as the gateway, in its follower form. An existing node takes packets
	// only in calls, so a relay to it needs a Conn.
	Conn  grpc.ClientConnInterface
	Calls metadata.MD

	// Release ends the stream and frees what it holds, such as the connection. It is called once,
	// at the latest when Wait or Listen returns for the relay of the stream.
	Release func()

	// Evict gives up the connection of the stream, as [ConnectionEvictor] does, so that the next
	// stream gets another one. A session calls it when the connection looks alive but may be dead:
	// one of the two ends has heard nothing for too long. Evict may be nil.
	Evict func()
}

// StreamOpener opens a stream to a neighbour. It adds the offer, which may be nil, to the metadata
// that the stream needs anyway. Those metadata are the same in each call: a session calls the
// opener again when the stream breaks.
//
// The opener waits for the response header, at most until the context is done. The context bounds
// the set-up only: the stream has a context of its own, which Release ends. If there is no header,
// the neighbour has refused the stream. gRPC then returns neither a header nor an error; the opener
// calls Recv, and returns its error. After an error nothing is left to release.
//
// After a break a session calls the opener until it has a stream, or the time of
// [WithResumeTimeout] is over. It waits 50 ms after the first attempt, doubles the wait after each
// further attempt, and waits 500 ms at most. So an attempt should fail as soon as the neighbour
// cannot be reached. The context of an attempt ends when that has taken too long, with
// [context.DeadlineExceeded] as its cause. Only the time counts in which this process gets the
// processor, so the context has no Deadline. If an attempt fails by that, or because the connection
// could not be made, the opener should give up its connection, unless that shows signs of life for
// other streams. The next attempt then gets a new connection, and does not wait until gRPC connects
// again. See [ConnectionReplacer].
type StreamOpener func(ctx context.Context, offer metadata.MD) (OpenStream, error)

// DialRelay opens a stream to a neighbour and offers a duplex link for the packets of the factory.
// A neighbour that does not accept the offer is an existing node. An existing node would take a
// packet on the stream of its parent for the end of that stream. So the relay is then like that of
// [NewRelay]: it sends each packet in a call over the connection of the stream, and the stream
// carries only what the neighbour sends by itself. DialRelay returns an error if the opener has
// given no connection for that.
//
// The context bounds the set-up of the first stream, as for a [StreamOpener]. The session that you
// pass the relay to releases the streams, even if it refuses the relay. If you pass the relay to no
// session, call the Release of the first stream yourself.
func DialRelay(ctx context.Context, gw mino.Address, serdeCtx serde.Context, fac router.PacketFactory,
	open StreamOpener,
) (Relay, error) {
	formats, err := formatsOf(fac)
	if err != nil {
		return nil, err
	}

	opener := newLinkOpener(open, formats)

	opened, accepted, err := opener.first(ctx)
	if err != nil {
		return nil, err
	}

	// The function of the overlay may panic; the stream counts as released all the same.
	release := sync.OnceFunc(func() { _ = contain.Do(opened.Release) })

	if accepted == nil && opened.Conn == nil {
		release()

		return nil, errNoConn
	}

	if accepted == nil {
		relay := newUnicastRelay(opened.Stream, gw, serdeCtx, opened.Conn, opened.Calls, nil)
		relay.release = release

		return relay, nil
	}

	return &DuplexRelay{
		gw:       gw,
		wire:     &wireStream{PacketStream: opened.Stream, release: release},
		opener:   opener,
		accepted: accepted,
		attached: make(chan struct{}),
	}, nil
}

// endStream releases the stream of a relay that this node has dialled. It may be called
// more than once.
func endStream(relay Relay) {
	switch own := relay.(type) {
	case *DuplexRelay:
		own.wire.Release()
	case *unicastRelay:
		if own.release != nil {
			own.release()
		}
	}
}

// linkOpener opens the streams of one duplex link.
type linkOpener struct {
	open    StreamOpener
	id      string
	formats []string

	// noDuplex openers offer no duplex link.
	noDuplex bool

	// session is the identity of the session that has accepted the first stream.
	session string
	// evict gives up the connection of the newest stream. It may be nil.
	evict func()
}

// newLinkOpener returns the opener of a new link, whose packets may have one of the binary formats.
func newLinkOpener(open StreamOpener, formats []string) *linkOpener {
	return &linkOpener{open: open, id: offer.NewID(), formats: formats}
}

// offer returns the metadata for the next stream of the link.
func (o *linkOpener) offer(epoch, received uint64) metadata.MD {
	next := offer.Offer{
		ID: o.id, Epoch: epoch, Received: received, Frame: MaxFrame, Formats: o.formats, Can: capabilities,
	}

	return metadata.Pairs(LinkKey, next.Value())
}

// first opens the first stream. The acceptance is nil when the neighbour does not accept a duplex
// link.
func (o *linkOpener) first(ctx context.Context) (OpenStream, *offer.Acceptance, error) {
	var md metadata.MD
	if !o.noDuplex {
		md = o.offer(1, 0)
	}

	// The opener may not be ours.
	opened, err := contain.Call(func() (OpenStream, error) { return o.open(ctx, md) })
	if err != nil || o.noDuplex {
		return opened, nil, err
	}

	accepted, ok := offer.ParseAcceptance(opened.Header.Get(LinkKey))
	if !ok {
		return opened, nil, nil
	}

	o.session, o.evict = accepted.Session, opened.Evict

	return opened, &accepted, nil
}

// again opens a stream after a break, and returns the number of the last frame that the neighbour
// has received.
func (o *linkOpener) again(ctx context.Context, next link.Next) (link.Stream, uint64, error) {
	if next.Fresh && o.evict != nil {
		o.evict()
	}

	opened, err := o.open(ctx, o.offer(next.Epoch, next.Received))
	if err != nil {
		if isRefusal(err) {
			err = fmt.Errorf("%w: %w", link.ErrGone, err)
		}

		return nil, 0, err
	}

	accepted, ok := offer.ParseAcceptance(opened.Header.Get(LinkKey))
	if !ok || accepted.Session != o.session {
		opened.Release()

		return nil, 0, link.ErrGone
	}

	o.evict = opened.Evict

	return newWireStream(opened), accepted.Received, nil
}

// isRefusal tells whether the neighbour has refused a stream in a way that another attempt would
// not change.
func isRefusal(err error) bool {
	switch status.Code(err) {
	case codes.FailedPrecondition, codes.NotFound, codes.InvalidArgument, codes.PermissionDenied,
		codes.Unauthenticated, codes.Unimplemented:
		return true
	default:
		return false
	}
}
