package host

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/deadline"
	"github.com/minogrpc/session/internal/headers"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// streamIDSize is the number of random bytes in the id of a stream. A node that knows the
// id can send into the stream, so that it must not be guessed.
const streamIDSize = 16

// setupError is why a stream could not be opened in time.
type setupError struct{}

// Error implements error.
func (setupError) Error() string { return "the first player did not answer in time" }

// Is makes it a context.DeadlineExceeded.
func (setupError) Is(target error) bool { return target == context.DeadlineExceeded }

// GRPCStatus is that of a deadline.
func (e setupError) GRPCStatus() *status.Status { return status.New(codes.DeadlineExceeded, e.Error()) }

// newsWanted is the value of the key that asks for news of players.
const newsWanted = "1"

// Stream opens a stream, as [mino.RPC] says. The first player becomes the root of the tree: the
// others are reached through it, and the stream lasts as long as its part in it. Stream
// waits until that player has answered, up to the time of [session.WithSetupTimeout]. The stream ends when
// the context is done, or the host is stopped; the cause of either, or why the root was
// lost or its handler failed, is what Recv returns after what has been received.
//
// A player that is named twice counts once. It is an error to name more than the limits allow; see
// [WithMaxPlayers] and [WithMaxMetadata]. The tag of [mino.WithProtocol] travels to all players.
func (p *Procedure) Stream(ctx context.Context, players mino.Players) (mino.Sender, mino.Receiver, error) {
	var (
		addrs []session.Address
		sess  liveSession
	)

	// Both are code of the caller.
	news := false

	err := p.host.contain(p.info(), func() (err error) {
		if err = contain.Context(ctx); err == nil {
			news = mino.WantsNews(ctx)
			addrs, err = playersOf(players, p.host.maxPlayers)
		}

		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("open stream: %w", err)
	}

	err = p.host.contain(p.info(), func() (err error) {
		sess, err = p.open(ctx, addrs, news)

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

	host  *Host
	key   streamKey
	begun time.Time
	root  session.Address
	// md are the metadata of the stream.
	md metadata.MD
}

// open sets up a stream to the players, the first of whom is the root.
func (p *Procedure) open(ctx context.Context, players []session.Address, news bool) (liveSession, error) {
	h := p.host
	key := streamKey{uri: p.uri, id: newStreamID()}
	md := metadata.Pairs(session.URIKey, key.uri, session.StreamIDKey, key.id, session.ProtocolKey, textOfTag(ctx))
	me := session.NewOrchestratorAddress(h.me)

	if news {
		md.Set(session.NewsKey, newsWanted)
	}

	table, err := h.router.New(mino.NewAddresses(), me)
	if err != nil {
		return nil, fmt.Errorf("routing table: %w", err)
	}

	o := &orchestration{
		liveSession: h.newSession(md, me, p, session.WithSources(sourcesOf(players)...), session.WithSendContext(ctx)),
		host:        h,
		key:         key,
		begun:       time.Now(),
		root:        players[0],
		md:          outgoing(md, h.text, players[1:]),
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
	life := o.host.life

	// A deadline on the context of the stream would end that one, too, later on.
	setup, fail := context.WithCancelCause(ctx)
	defer fail(nil)

	stop := context.AfterFunc(life.closing, func() { fail(ErrStopped) })
	defer stop()

	done, err := o.host.dials.Wait(setup)
	if err != nil {
		return nil, err
	}

	defer done()

	// A thousand streams that are opened at once share the processor: what they wait for that is
	// no fault of the root.
	most := session.SetupTimeout(o.host.session...)
	late := deadline.Start(most, most, func() { fail(setupError{}) })
	defer late.Stop()

	relay, err := session.DialRelay(setup, o.root, o.host.context, o.host.router.GetPacketFactory(), o.opener())

	switch {
	case err != nil && life.closing.Err() != nil:
		// The connection may have been closed before the set-up was told.
		err = ErrStopped
	case err != nil && ctx.Err() != nil:
		err = EndOf(ctx, err)
	case err != nil && setup.Err() != nil:
		err = context.Cause(setup)
	}

	return relay, err
}

// opener returns what opens the streams to the root, within the limits of the host.
func (o *orchestration) opener() session.StreamOpener {
	open := session.ConnOpener(o.host.conns, o.root, o.md)
	limit := o.host.maxMetadata

	return func(ctx context.Context, offer metadata.MD) (session.OpenStream, error) {
		if size := headers.Size(o.md) + headers.Size(offer); size > limit {
			return session.OpenStream{}, fmt.Errorf("metadata of %d bytes is more than %d", size, limit)
		}

		opened, err := open(ctx, offer)
		if err == nil {
			opened.Stream = rootStream{opened.Stream, o.host.maxFrame}
		}

		return opened, err
	}
}

// start registers the root, and runs the stream in a goroutine.
func (o *orchestration) start(ctx context.Context, relay session.Relay, table router.RoutingTable) error {
	registration, err := o.Register(relay, table)
	if err != nil {
		return err
	}

	o.host.streams.orchestrates(o)

	task := Task{Name: "orchestrator", Procedure: o.key.uri, Stream: o.key.id}
	if o.host.tasks.start(task, func(*running) { o.run(ctx, registration) }) {
		return nil
	}

	o.host.streams.orchestrated(o)
	o.CloseWithError(ErrStopped)
	_ = registration.Wait() // It is over.

	return ErrStopped
}

// run lasts as long as the stream.
func (o *orchestration) run(ctx context.Context, registration *session.Registration) {
	defer o.host.streams.orchestrated(o)

	stop := context.AfterFunc(ctx, func() { o.CloseWithError(EndOf(ctx, nil)) })
	defer stop()

	stopNode := context.AfterFunc(o.host.life.closing, func() { o.CloseWithError(ErrStopped) })
	defer stopNode()

	// A session that has lost its last parent closes by itself, with the cause.
	_ = registration.Wait()

	<-o.Done()
}

// rootStream is the stream to the root, as the session sees it.
type rootStream struct {
	session.PacketStream

	maxFrame int
}

// Send implements session.PacketStream.
func (s rootStream) Send(p *ptypes.Packet) error {
	if err := checkFrame(p, s.maxFrame); err != nil {
		return err
	}

	return s.PacketStream.Send(p)
}

// CloseSend ends the sending direction, by which the session says goodbye.
func (s rootStream) CloseSend() error {
	half, ok := s.PacketStream.(interface{ CloseSend() error })
	if !ok {
		return nil
	}

	return half.CloseSend()
}

// outgoing returns the metadata for the root.
func outgoing(md metadata.MD, gateway string, others []session.Address) metadata.MD {
	md = md.Copy()
	md.Set(session.GatewayKey, gateway)

	for _, addr := range others {
		md.Append(session.PlayerKey, textOf(addr))
	}

	return md
}

// newStreamID returns an id that no other stream has.
func newStreamID() string {
	id := make([]byte, streamIDSize)
	_, _ = rand.Read(id) // it never fails

	return hex.EncodeToString(id)
}

// sourcesOf returns the players of a stream as those from whom its orchestrator takes messages.
func sourcesOf(players []session.Address) []mino.Address {
	sources := make([]mino.Address, len(players))
	for i, addr := range players {
		sources[i] = addr
	}

	return sources
}
