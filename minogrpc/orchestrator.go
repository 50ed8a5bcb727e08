package minogrpc

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/headers"
	"github.com/minogrpc/session/internal/opening"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// streamIDSize is the number of random bytes in the id of a stream. Who knows the
// id can send into the stream, so that it must not be guessed.
const streamIDSize = 16

// errSetup is why a stream could not be opened in time.
var errSetup = errors.New("the first player did not answer in time")

type protocolTag struct{}

// WithProtocol returns a context for [mino.RPC] Stream that gives the stream a tag,
// which all nodes of it see in the metadata and may use for tracing. It must be
// printable ASCII.
func WithProtocol(ctx context.Context, tag string) context.Context {
	return context.WithValue(ctx, protocolTag{}, tag)
}

// Stream implements mino.RPC. The first player becomes the root of the tree: the
// others are reached through it, and the stream lasts as long as its part in it. It
// waits until that player has answered, up to the time of [session.WithSetupTimeout]. The stream ends when the
// context is done, or the node is stopped; the cause of either, or why the root was
// lost or its handler failed, is what Recv returns after what has been received.
// A player that is named twice counts once. It is an error to name more than the
// limits allow; see [WithMaxPlayers] and [WithMaxMetadata].
func (p *procedure) Stream(ctx context.Context, players mino.Players) (mino.Sender, mino.Receiver, error) {
	var (
		addrs []session.Address
		sess  liveSession
	)

	// Both are code of the caller.
	err := p.node.contain(func() (err error) {
		if err = checkContext(ctx); err == nil {
			addrs, err = playersOf(players, p.node.maxPlayers)
		}

		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("open stream: %w", err)
	}

	err = p.node.contain(func() (err error) {
		sess, err = p.open(ctx, addrs)

		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("open stream at %v: %w", addrs[0], err)
	}

	return sess, sess, nil
}

// orchestration is a stream that this node has opened.
type orchestration struct {
	liveSession

	node *Minogrpc
	root session.Address

	// md are the metadata of the stream, and calls those of calls to an existing root.
	md, calls metadata.MD
}

// open sets up a stream to the players, the first of whom is the root.
func (p *procedure) open(ctx context.Context, players []session.Address) (liveSession, error) {
	m := p.node
	id := newStreamID()
	md := metadata.Pairs(uriKey, p.endpoint.uri, streamIDKey, id, protocolKey, protocolOf(ctx))
	me := session.NewOrchestratorAddress(m.me)

	table, err := m.router.New(mino.NewAddresses(), me)
	if err != nil {
		return nil, fmt.Errorf("routing table: %w", err)
	}

	o := &orchestration{
		liveSession: m.newSession(md, me, p.endpoint, session.WithSources(sourcesOf(players)...)),
		node:        m,
		root:        players[0],
		md:          outgoing(md, m.text, players[1:]),
		calls:       m.callsOf(streamKey{uri: p.endpoint.uri, id: id}),
	}

	relay, err := o.dial(ctx)
	if err != nil {
		return nil, err
	}

	if err = o.start(ctx, relay, table); err != nil {
		return nil, err
	}

	return o.liveSession, nil
}

// dial opens the stream to the root within the time of a set-up, when the node has a turn for that.
func (o *orchestration) dial(ctx context.Context) (session.Relay, error) {
	// A deadline on the context of the stream would end that one, too, later on.
	setup, fail := context.WithCancelCause(ctx)
	defer fail(nil)

	stop := context.AfterFunc(o.node.life.closing, func() { fail(errStopped) })
	defer stop()

	done, err := o.node.dials.Wait(setup)
	if err != nil {
		return nil, err
	}

	defer done()

	timer := time.AfterFunc(session.SetupTimeout(o.node.session...), func() { fail(errSetup) })
	defer timer.Stop()

	pktFac := o.node.router.GetPacketFactory()
	relay, err := session.DialRelay(setup, o.root, o.node.context, pktFac, o.connect)

	switch {
	case err != nil && o.node.life.closing.Err() != nil:
		// The connection may have been closed before the set-up was told.
		err = errStopped
	case err != nil && setup.Err() != nil:
		err = context.Cause(setup)
	}

	return relay, err
}

// connect implements session.StreamOpener. The stream does not end with the context of
// the caller, because the session then still has to say goodbye. The connection of an attempt
// that has taken too long may only look alive, and one that could not be made waits before it
// tries again: the next attempt gets a fresh one.
func (o *orchestration) connect(ctx context.Context, offer metadata.MD) (session.OpenStream, error) {
	md := metadata.Join(o.md, offer)
	if size := headers.Size(md); size > o.node.maxMetadata {
		return session.OpenStream{}, fmt.Errorf("metadata of %d bytes is more than %d", size, o.node.maxMetadata)
	}

	conn, err := o.node.conns.Acquire(o.root)
	if err != nil {
		return session.OpenStream{}, err
	}

	streamCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	release := func() {
		cancel()
		o.node.conns.Release(o.root)
	}

	stop := context.AfterFunc(ctx, cancel)

	stream, header, err := opening.Stream(metadata.NewOutgoingContext(streamCtx, md), conn)
	if !stop() {
		err = context.Cause(ctx)
	}

	evict := func() { o.node.conns.Replace(o.root, conn) }

	if err != nil {
		late := errors.Is(err, errSetup) || errors.Is(err, context.DeadlineExceeded)
		if late || opening.Failed(conn) {
			evict()
		}

		release()

		return session.OpenStream{}, err
	}

	return session.OpenStream{
		Stream:  rootStream{stream, o.node.maxFrame()},
		Header:  header,
		Conn:    conn,
		Calls:   o.calls,
		Release: release,
		Evict:   evict,
	}, nil
}

// start registers the root, and runs the stream in a goroutine.
func (o *orchestration) start(ctx context.Context, relay session.Relay, table router.RoutingTable) error {
	registration, err := o.Register(relay, table)
	if err != nil {
		return err
	}

	if o.node.tasks.start(func() { o.run(ctx, registration) }) {
		return nil
	}

	o.CloseWithError(errStopped)
	_ = registration.Wait() // It is over.

	return errStopped
}

// run lasts as long as the stream.
func (o *orchestration) run(ctx context.Context, registration *session.Registration) {
	stop := context.AfterFunc(ctx, func() { o.CloseWithError(context.Cause(ctx)) })
	defer stop()

	stopNode := context.AfterFunc(o.node.life.closing, func() { o.CloseWithError(errStopped) })
	defer stopNode()

	// A session that has lost its last parent closes by itself, with the cause.
	_ = registration.Wait()

	<-o.Done()
}

// rootStream is the stream to the root, as the session sees it.
type rootStream struct {
	grpc.BidiStreamingClient[ptypes.Packet, ptypes.Packet]

	maxFrame int
}

// Send implements session.PacketStream.
func (s rootStream) Send(p *ptypes.Packet) error {
	if err := checkFrame(p, s.maxFrame); err != nil {
		return err
	}

	return s.BidiStreamingClient.Send(p)
}

// outgoing returns the metadata for the root.
func outgoing(md metadata.MD, gateway string, others []session.Address) metadata.MD {
	md = md.Copy()
	md.Set(gatewayKey, gateway)

	for _, addr := range others {
		md.Append(playerKey, textOf(addr))
	}

	return md
}

// newStreamID returns an id that no other stream has.
func newStreamID() string {
	id := make([]byte, streamIDSize)
	_, _ = rand.Read(id) // it never fails

	return hex.EncodeToString(id)
}

// protocolOf returns the tag of the stream.
func protocolOf(ctx context.Context) string {
	tag, ok := ctx.Value(protocolTag{}).(string)
	if !ok {
		return undefinedProtocol
	}

	return tag
}
