package session

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/headers"
	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/internal/opening"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/serde"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// maxCalls and maxCallsPerDestination bound the calls that are under way to one
// neighbour.
const (
	maxCalls               = 64
	maxCallsPerDestination = 8
)

// maxDials is how many streams a session opens at once, to new children and to neighbours whose
// link has broken. A root may have a thousand of them: if it dialled them all together, none would
// be set up in time.
const maxDials = 64

// linkConfig returns what the links to parents and children have in common. The link made of it
// uses the share of the peer until it is released.
func (s *session) linkConfig(peer mino.Address, key string) link.Config {
	return link.Config{
		Peer:       peer,
		Key:        key,
		Owner:      (*linkOwner)(s),
		Setup:      s.setup,
		Silence:    s.silence,
		Patience:   s.playerPatience(),
		MaxPackets: s.outboxPackets,
		MaxBytes:   s.outboxBytes,
		Calls:      maxCalls,
		PerLane:    maxCallsPerDestination,
		Budget:     s.shares().Join(shareOf(peer)),
	}
}

// openLocked returns a new link to a child. It asks the table for the handshake now, and not
// when the handshake is sent: the handshake must fit the routes that are being decided. The
// budget is the time of the first packet.
func (s *session) openLocked(via *parent, gw mino.Address, key string, budget time.Duration) *link.Link {
	handshake, err := contain.Call(func() (router.Handshake, error) { return via.table.PrepareHandshakeFor(gw), nil })
	told := announcement{
		handshake: handshake, root: isOrchestrator(via.addr), passedOver: s.screen.passedOver(via, key, gw),
	}

	cfg := s.linkConfig(gw, key)
	cfg.Asking = budget
	cfg.Dials = s.turnsLocked()

	l := link.Dial(cfg, func(ctx context.Context) (link.Connection, error) {
		if err != nil {
			return link.Connection{}, fmt.Errorf("failed to prepare the handshake: %w", err)
		}

		return s.dialler.dial(ctx, gw, told)
	})

	l.SetCut(s.cut)
	s.children.add(l)
	s.screen.opened(via, key, gw)
	s.alive++

	return l
}

// dialler opens the streams to children. It does not change, and needs no lock.
type dialler struct {
	// md goes with every stream.
	md      metadata.MD
	me      mino.Address
	ctx     serde.Context
	connMgr ConnectionManager
	framing *framing
	witness *witness
	// noDuplex is set when no duplex link is offered.
	noDuplex bool
}

// turnsLocked returns places for each stream that is being opened: those of the session, and those of a
// limit that it shares with others. Many a session never dials.
func (s *session) turnsLocked() []*link.Turns {
	if s.turns == nil {
		s.turns = append(s.turns, link.NewTurns(maxDials))

		if s.dials != nil {
			s.turns = append(s.turns, s.dials.turns)
		}
	}

	return s.turns
}

// announcement is what a child is told with its stream.
type announcement struct {
	handshake router.Handshake
	// root is set when this node is the root.
	root bool
	// passedOver are the nodes in whose place this node opens the stream.
	passedOver []string
}

// dial opens the stream to a child and waits for its header.
func (d *dialler) dial(ctx context.Context, gw mino.Address, told announcement) (link.Connection, error) {
	stream, calls, err := d.metadata(told)
	if err != nil {
		return link.Connection{}, err
	}

	conns := connOpener{conns: d.connMgr, addr: gw, md: stream, calls: calls}
	open := func(setup context.Context, offer metadata.MD) (OpenStream, error) {
		return d.openStream(ctx, setup, conns, offer)
	}

	opener := newLinkOpener(open, d.framing.formats)
	opener.noDuplex = d.noDuplex

	opened, accepted, early, err := d.first(ctx, conns, opener)

	switch {
	case err != nil:
		return link.Connection{}, err
	case early:
		return opened.early(), nil
	case accepted != nil:
		frames := d.framing.dialled(opener, newWireStream(opened.OpenStream), accepted)

		return link.Connection{Frames: &frames, Tenure: accepted.Tenure}, nil
	}

	relay := NewRelay(opened.Stream, gw, d.ctx, opened.Conn, opened.Calls)

	return link.Connection{Calls: &relayConn{relay: relay, release: opened.Release}}, nil
}

// openStream opens a stream that lasts until it is released or life is over. setup bounds how long the
// opening takes. After a failure openStream may give up the connection, so that the next attempt gets a
// new one; see isWorthless.
func (d *dialler) openStream(life, setup context.Context, conns connOpener, offer metadata.MD) (OpenStream, error) {
	began := time.Now()
	opened, err := conns.over(life, setup, offer)

	if opened.Conn == nil {
		err = fmt.Errorf("failed to acquire the connection: %w", err)

		return OpenStream{}, &dialError{error: err, told: toldNotTrusted}
	}

	// The connections may be of a manager of the application.
	evict := opened.Evict
	opened.Evict = func() { d.witness.fault(contain.Do(evict)) }

	if err == nil {
		return opened, nil
	}

	if isWorthless(life, setup, opened.Conn, began) {
		opened.Evict()
	}

	opened.Release()

	return OpenStream{}, newDialError(err)
}

// isWorthless tells whether the next attempt to open a stream should not use the connection of one that has
// failed. The connection may only look alive: the set-up has taken all its time, and nothing comes for other
// streams either. A next stream, after a break, also gives up a connection that could not be made.
func isWorthless(life, setup context.Context, conn grpc.ClientConnInterface, began time.Time) bool {
	cause := context.Cause(life)

	switch {
	case life == setup:
		return errors.Is(cause, link.ErrSetup) && !errors.Is(cause, link.ErrHurry) && !isAlive(conn, began)
	case errors.Is(context.Cause(setup), context.DeadlineExceeded):
		return !isAlive(conn, began)
	default:
		return opening.Failed(conn)
	}
}

// metadata returns the metadata of the stream to a child, and the metadata of calls.
func (d *dialler) metadata(told announcement) (stream, calls metadata.MD, err error) {
	if told.handshake == nil {
		return nil, nil, errors.New("the routing table made no handshake")
	}

	data, err := contain.Call(func() ([]byte, error) { return told.handshake.Serialize(d.ctx) })
	if err != nil {
		return nil, nil, fmt.Errorf("failed to serialize the handshake: %w", err)
	}

	gateway, err := keyOf(FollowerOf(d.me))
	if err != nil {
		return nil, nil, err
	}

	stream = d.md.Copy()
	stream.Delete(PlayerKey)
	stream.Set(GatewayKey, gateway)

	calls = maps.Clone(stream)
	calls.Delete(ProtocolKey)
	calls.Delete(HandshakeKey)
	calls.Delete(LinkKey)
	calls.Delete(AncestorKey)
	calls.Delete(OrchestratorKey)
	calls.Delete(NewsKey)

	stream.Set(HandshakeKey, string(data))
	stream.Set(LinkKey, LinkGoodbye)

	if asksForNews(stream) {
		stream.Append(LinkKey, LinkNews)
	}

	stream.Append(AncestorKey, told.passedOver...)

	if told.root {
		stream.Append(LinkKey, LinkRoot)
	}

	size := headers.Size(stream)
	if size > d.framing.maxMetadata {
		return nil, nil, fmt.Errorf("metadata of %d bytes is more than %d", size, d.framing.maxMetadata)
	}

	return stream, calls, nil
}
