package matrix_test

import (
	"context"
	"errors"
	"testing"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/router/tree"
	"github.com/minogrpc/session/serde/json"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/metadata"
)

// A network of an existing overlay on the session of this library, alone and with the other
// kinds.
func TestOverlay_PortedToThisSession(t *testing.T) {
	mixes := map[string][]kind{
		"alone":             {ported, ported, ported, ported, ported, ported, ported, ported},
		"orchestrator":      {ported, existing, ours, existing, ours, existing, ours, existing},
		"root of ours":      {ours, ported, ours, ported, existing, ours, ported, existing},
		"root of existing":  {existing, ported, ours, existing, ported, ours, ported, existing},
		"below ours":        {ours, ours, ported, ported, ported, ported, ported, ported},
		"below an existing": {existing, existing, ported, ported, ported, ported, ported, ported},
	}

	for name, kinds := range mixes {
		t.Run(name, func(t *testing.T) {
			w := newPorted(t, kinds)

			t.Run("broadcast", w.testBroadcast)
			t.Run("sideways", w.testSideways)
			t.Run("up in order", w.testUp)
			t.Run("call", w.testCall)
			w.requireNoOddities(t)
		})
	}
}

// newPorted starts nodes. The first one is the orchestrator, and the last player, too.
func newPorted(t *testing.T, kinds []kind) *network {
	t.Helper()

	w := emptyNetwork(mixture{players: len(kinds), height: 2, place: atLeaf})
	for _, k := range kinds {
		w.players = append(w.players, w.start(t, k, nodeConfig{height: 2}))
	}

	w.origin = w.players[0]
	w.players = append(w.players[1:], w.origin)

	return w
}

// An existing overlay's table of an orchestrator is made of nobody and the follower form of
// its own address. The player at that address is reached through the root.
func TestOverlay_TableOfAnOrchestratorLeadsToItsOwnPlayer(t *testing.T) {
	me := session.NewAddress("grpc://me:1")

	table, err := tree.NewRouter(session.AddressFactory{}).New(mino.NewAddresses(), me)
	require.NoError(t, err)

	routes, voids := table.Forward(table.Make(session.NewOrchestratorAddress(me), []mino.Address{me}, []byte("hello")))
	require.Empty(t, voids)
	require.Len(t, routes, 1)
	require.Contains(t, routes, mino.Address(nil))
}

// The same through a session.
func TestOverlay_OrchestratorReachesItsOwnPlayer(t *testing.T) {
	w := newPorted(t, []kind{ported, ported, ported})

	s, cancel := w.open(t)
	requireEchoes(t, s, "hello", []text{w.origin.address()})
	cancel()
}

// Listen closes ready before it returns, whatever the session thinks of the parent: an
// existing overlay waits for it with its lock held.
func TestOverlay_ListenAlwaysClosesReady(t *testing.T) {
	tests := map[string]struct {
		closed  bool
		gateway mino.Address
	}{
		"closed session":         {closed: true, gateway: session.NewAddress("grpc://parent:1")},
		"gateway without text":   {gateway: mute{session.NewAddress("grpc://parent:1")}},
		"gateway with no bytes":  {gateway: session.Address{}},
		"no gateway":             {},
		"closed, and no gateway": {closed: true},
	}

	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := tree.NewRouter(session.AddressFactory{})
			me := session.NewAddress("grpc://me:1")
			table, err := r.New(mino.NewAddresses(), me)
			require.NoError(t, err)

			sess := session.NewSession(metadata.Pairs("streamid", "one"), me, messages{}, r.GetPacketFactory(),
				json.NewContext(), session.NewConnManager())
			defer sess.Close()

			if test.closed {
				sess.Close()
			}

			// Its stream ends at once, so that Listen returns in any case.
			ctx, cancel := context.WithCancel(t.Context())
			cancel()

			ready := make(chan struct{})
			sess.Listen(idleRelay{ctx: ctx, gateway: test.gateway}, table, ready)

			select {
			case <-ready:
			default:
				t.Fatal("an overlay would wait for ever")
			}

			require.Zero(t, sess.GetNumParents())
		})
	}
}

// A graceful stop of an existing overlay counts its connections right after it has closed
// the sessions.
func TestOverlay_CloseHasReleasedTheConnections(t *testing.T) {
	w := newPorted(t, []kind{existing, ported, existing, ported, ours, existing, ours, ported})

	s, cancel := w.open(t)
	requireEchoes(t, s, "hello", w.addresses())

	for _, n := range w.players {
		p, ok := n.(*portedNode)
		if !ok {
			continue
		}

		for _, sess := range p.running() {
			sess.Close()

			// Stream has acquired that of the parent, and releases it when it returns.
			held := int(p.streams.Load())
			assert.LessOrEqual(t, p.conns.Len(), held)
		}
	}

	cancel()
}

// mute is an address that has no text.
type mute struct{ mino.Address }

func (mute) MarshalText() ([]byte, error) { return nil, errors.New("no text") }

// idleRelay implements session.Relay for a parent whose stream is over when its context is.
type idleRelay struct {
	ctx     context.Context
	gateway mino.Address
}

func (r idleRelay) GetDistantAddress() mino.Address { return r.gateway }
func (r idleRelay) Stream() session.PacketStream    { return idleStream{r.ctx} }
func (r idleRelay) Close() error                    { return nil }

func (r idleRelay) Send(context.Context, router.Packet) (*ptypes.Ack, error) {
	return &ptypes.Ack{}, nil
}

type idleStream struct{ ctx context.Context }

func (s idleStream) Context() context.Context  { return s.ctx }
func (s idleStream) Send(*ptypes.Packet) error { return nil }

func (s idleStream) Recv() (*ptypes.Packet, error) {
	<-s.ctx.Done()

	return nil, s.ctx.Err()
}
