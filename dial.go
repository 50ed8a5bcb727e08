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
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router"
	"google.golang.org/grpc/metadata"
)

// The other keys of the metadata that a session deals with.
const (
	gatewayKey  = "gateway"
	playersKey  = "addr"
	protocolKey = "protocol"
)

// maxCalls and maxCallsPerDestination bound the calls that are under way to one
// neighbour.
const (
	maxCalls               = 64
	maxCallsPerDestination = 8
)

// setupShare is the part of the budget of a packet that a set-up for it may take,
// so that there is time left for another route. A child is given minSetup all the
// same: the budget comes from elsewhere, and the loss would cost others, too.
const (
	setupShare = 3
	minSetup   = time.Second
)

// linkConfig returns what the links to parents and children have in common.
func (s *session) linkConfig(peer mino.Address, key string) link.Config {
	return link.Config{
		Peer:       peer,
		Key:        key,
		Owner:      (*linkOwner)(s),
		Setup:      s.setup,
		Silence:    s.silence,
		Patience:   s.resume,
		MaxPackets: s.outboxPackets,
		MaxBytes:   s.outboxBytes,
		Calls:      maxCalls,
		PerLane:    maxCallsPerDestination,
		Budget:     s.memory(),
	}
}

// openLocked returns a new link to a child. The table of the parent is asked for the
// handshake now, and not when it is sent: the routes that are being decided belong to
// it. The budget is that of the first packet.
func (s *session) openLocked(via *parent, gw mino.Address, key string, budget time.Duration) *link.Link {
	handshake, err := contain.Call(func() (router.Handshake, error) { return via.table.PrepareHandshakeFor(gw), nil })
	passedOver := s.passedOverLocked(via, key, gw)

	cfg := s.linkConfig(gw, key)
	cfg.Setup = min(cfg.Setup, max(budget/setupShare, minSetup))
	patient := cfg.Setup == s.setup

	l := link.Dial(cfg, func(ctx context.Context) (link.Connection, error) {
		if err != nil {
			return link.Connection{}, fmt.Errorf("failed to prepare the handshake: %w", err)
		}

		conn, err := s.dial(ctx, gw, handshake, passedOver)
		if err != nil && patient && errors.Is(context.Cause(ctx), link.ErrSetup) {
			// The connection may only look alive. A fresh one may work.
			s.evict(gw)
		}

		return conn, err
	})

	s.children.add(l)
	s.noteChildLocked(via, key, gw)
	s.alive++

	return l
}

// dial opens the stream to a child and waits for its header.
func (s *session) dial(ctx context.Context, gw mino.Address, handshake router.Handshake, passedOver []string,
) (link.Connection, error) {
	stream, calls, err := s.streamMetadata(handshake, passedOver)
	if err != nil {
		return link.Connection{}, err
	}

	open := func(setup context.Context, offer metadata.MD) (OpenStream, error) {
		return s.openStream(ctx, setup, gw, metadata.Join(stream, offer), calls)
	}

	opener := newLinkOpener(open, s.formats)
	opener.silent = s.noDuplex

	opened, accepted, err := opener.first(ctx)
	if err != nil {
		return link.Connection{}, err
	}

	if accepted != nil {
		frames := s.dialledFrames(opener, newWireStream(opened), accepted)

		return link.Connection{Frames: &frames}, nil
	}

	relay := NewRelay(opened.Stream, gw, s.ctx, opened.Conn, opened.Calls)

	return link.Connection{Calls: &relayConn{relay: relay, release: opened.Release}}, nil
}

// openStream opens a stream that lasts until it is released or life is over. setup
// bounds how long that takes.
func (s *session) openStream(life, setup context.Context, gw mino.Address, md, calls metadata.MD) (OpenStream, error) {
	conn, err := s.connMgr.Acquire(gw)
	if err != nil {
		return OpenStream{}, fmt.Errorf("failed to acquire the connection: %w", err)
	}

	ctx, cancel := context.WithCancel(life)
	release := func() {
		cancel()
		s.connMgr.Release(gw)
	}

	// A deadline on the context of the stream would end that later on.
	stop := context.AfterFunc(setup, cancel)

	stream, header, err := opening.Stream(metadata.NewOutgoingContext(ctx, md), conn)
	if !stop() && err == nil {
		err = context.Cause(setup)
	}

	if err != nil {
		release()

		return OpenStream{}, err
	}

	return OpenStream{Stream: stream, Header: header, Conn: conn, Calls: calls, Release: release}, nil
}

// evict gives up a connection that may only look alive.
func (s *session) evict(gw mino.Address) {
	evictor, ok := s.connMgr.(ConnectionEvictor)
	if ok {
		s.witness.fault(contain.Do(func() { evictor.Evict(gw) }))
	}
}

// streamMetadata returns what goes with the stream to a child, in whose case others were
// passed over, and with the calls.
func (s *session) streamMetadata(handshake router.Handshake, passedOver []string,
) (stream, calls metadata.MD, err error) {
	if handshake == nil {
		return nil, nil, errors.New("the routing table made no handshake")
	}

	data, err := contain.Call(func() ([]byte, error) { return handshake.Serialize(s.ctx) })
	if err != nil {
		return nil, nil, fmt.Errorf("failed to serialize the handshake: %w", err)
	}

	gateway, err := keyOf(FollowerOf(s.me))
	if err != nil {
		return nil, nil, err
	}

	stream = s.md.Copy()
	stream.Delete(playersKey)
	stream.Set(gatewayKey, gateway)

	calls = maps.Clone(stream)
	calls.Delete(protocolKey)
	calls.Delete(HandshakeKey)
	calls.Delete(LinkKey)
	calls.Delete(AncestorKey)

	stream.Set(HandshakeKey, string(data))
	stream.Set(LinkKey, LinkGoodbye)
	stream.Append(AncestorKey, passedOver...)

	size := headers.Size(stream)
	if size > s.maxMetadata {
		return nil, nil, fmt.Errorf("metadata of %d bytes is more than %d", size, s.maxMetadata)
	}

	return stream, calls, nil
}

// recv reads from a stream that may not be ours.
func recv(stream PacketStream) (*ptypes.Packet, error) {
	return contain.Call(stream.Recv)
}

// relayConn implements link.Conn with a relay.
type relayConn struct {
	relay   Relay
	release func()
}

// Carry implements link.Conn.
func (c *relayConn) Carry(ctx context.Context, p *link.Parcel) (*ptypes.Ack, error) {
	own, ok := c.relay.(carrier)
	if ok {
		return own.carry(ctx, p)
	}

	ack, err := c.relay.Send(ctx, p.Packet)
	if ack == nil {
		ack = &ptypes.Ack{}
	}

	return ack, err
}

// Recv implements link.Conn.
func (c *relayConn) Recv() (*ptypes.Packet, error) {
	return recv(c.relay.Stream())
}

// Goodbye implements link.Conn. Only the opener of a stream has somebody to wait
// for: the other end of it is over when its reader returns.
func (c *relayConn) Goodbye() bool {
	opener, err := contain.Call(func() (bool, error) {
		_, opener := c.relay.Stream().(interface{ CloseSend() error })

		return opener, c.relay.Close()
	})

	return err == nil && opener
}

// Release implements link.Conn.
func (c *relayConn) Release() {
	if c.release != nil {
		c.release()
	}
}
