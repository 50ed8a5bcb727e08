package worlds_test

import (
	"context"
	"encoding/hex"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/internal/offer"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/serde/json"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// opened is one stream that a played child has got.
type opened struct {
	*world
	ptypes.Overlay_StreamServer

	offer offer.Offer
	// text is the offer as it has come.
	text string
	// frames are what has come over the stream. It is closed when the stream has ended.
	frames chan *ptypes.Packet
}

// read makes the frames come.
func (o *opened) read() {
	defer close(o.frames)

	for {
		frame, err := o.Recv()
		if err != nil {
			return
		}

		o.frames <- frame
	}
}

// accept accepts the stream with what is offered, but for the names of what the child can do.
func (o *opened) accept(can ...string) {
	accepted := offer.Acceptance{
		Frame: o.offer.Frame, Format: o.offer.Choose([]string{"tree1"}), Session: "child", Can: o.offer.Common(can),
	}

	require.NoError(o, o.SendHeader(metadata.Pairs(session.LinkKey, accepted.Value())))
}

// deliver says of all parcels that come that they are delivered, until the end of the stream.
func (o *opened) deliver() {
	for frame := range o.frames {
		answer := &ptypes.Packet{Received: frame.GetFrame(), Frame: frame.GetFrame()}
		for _, p := range frame.GetParcels() {
			answer.Delivered = append(answer.Delivered, p.GetId())
		}

		if len(answer.GetDelivered()) > 0 {
			require.NoError(o, o.Send(answer))
		}

		if frame.GetGoodbye() {
			return
		}
	}
}

// everything is what the child of these tests can do.
var everything = []string{"cut", "early"}

// acceptAndDeliver is a friendly child.
func acceptAndDeliver(o *opened) error {
	o.accept(everything...)
	o.deliver()

	return nil
}

// aheadWorld is a node a whose sessions share their connections, and a child b that the test plays.
type aheadWorld struct {
	*world

	mgr   *session.ConnManager
	child *sessiontest.Peer
	// plays are what the child does with its streams, in their order.
	plays chan func(*opened) error
}

// playedChild is the server of the child.
type playedChild struct {
	ptypes.UnimplementedOverlayServer

	*aheadWorld
}

// Stream implements ptypes.OverlayServer.
func (c playedChild) Stream(stream ptypes.Overlay_StreamServer) error {
	md, _ := metadata.FromIncomingContext(stream.Context())
	o := &opened{world: c.world, Overlay_StreamServer: stream, frames: make(chan *ptypes.Packet, 100)}
	o.offer, _ = offer.Parse(md.Get(session.LinkKey))
	o.text = md.Get(session.LinkKey)[max(0, slices.IndexFunc(md.Get(session.LinkKey), isOffer))]

	go o.read()

	return (<-c.plays)(o)
}

// isOffer tells whether a value offers a duplex link.
func isOffer(value string) bool { return strings.HasPrefix(value, "duplex-1") }

// Forward implements ptypes.OverlayServer.
func (c playedChild) Forward(ctx context.Context, p *ptypes.Packet) (*ptypes.Ack, error) {
	return c.child.Forward(ctx, p)
}

// withAhead runs a test in which the child does these things with its streams.
func withAhead(t *testing.T, plays []func(*opened) error, test func(w *aheadWorld)) {
	t.Helper()

	inWorld(t, func(_ *testing.T, inner *world) {
		w := &aheadWorld{world: inner, child: &sessiontest.Peer{}, plays: make(chan func(*opened) error, len(plays))}
		for _, play := range plays {
			w.plays <- play
		}

		w.mgr = session.NewConnManager(session.WithIdleTimeout(time.Hour),
			session.WithDialOptions(grpc.WithContextDialer(w.net.Dialer("a:1"))))

		listener, err := w.net.Listen("b:1")
		require.NoError(w, err)

		srv := grpc.NewServer()
		ptypes.RegisterOverlayServer(srv, playedChild{aheadWorld: w})

		var serving sync.WaitGroup

		// Its only error is that it was stopped before it began.
		serving.Go(func() { _ = srv.Serve(listener) })

		defer func() {
			require.NoError(w, w.mgr.Close())
			srv.Stop()
			serving.Wait()
		}()

		test(w)
		require.Empty(w, w.plays)
	})
}

// send has a new session of node a send one message to the child, or around it, and returns the outcomes.
// The session then ends.
func (w *aheadWorld) send(table router.RoutingTable) []*session.DeliveryError {
	w.Helper()

	md := metadata.Pairs(session.URIKey, "test", session.StreamIDKey, "1")
	sess := session.NewSession(md, addr("a"), fake.MessageFactory{}, routerOf(3).GetPacketFactory(),
		json.NewContext(), w.mgr)

	parent := fake.NewRelay(session.NewOrchestratorAddress(addr("orchestrator")), nil)
	returned := w.listen(sess, parent, table)
	errs := w.outcomes(sess.Send(fake.Message("hello"), addr("b")))

	sess.Close()
	parent.End(io.EOF)
	<-returned
	<-sess.(session.Lifecycle).Done()

	return errs
}

// sendDown is send with a table that knows no detour.
func (w *aheadWorld) sendDown() []*session.DeliveryError {
	return w.send(w.table(1, addr("a"), addr("b")))
}

// frameFirst waits for a frame that has come before the stream was accepted.
func frameFirst(o *opened) {
	require.True(o, o.offer.Early)
	require.Len(o, (<-o.frames).GetParcels(), 1)
}

// waits makes sure that no frame comes before the stream is accepted.
func waits(o *opened) {
	time.Sleep(5 * time.Second) // Virtual time.
	synctest.Wait()
	require.Empty(o, o.frames)
}

// refuse ends a stream with the word that nothing was taken.
func refuse(o *opened) error {
	o.SetTrailer(metadata.Pairs(session.LinkKey, session.LinkRefused))

	return status.Error(codes.FailedPrecondition, "not here")
}

func TestAhead_FramesFollowTheOpeningOnAKnownTransport(t *testing.T) {
	withAhead(t, []func(*opened) error{
		func(o *opened) error {
			require.False(o, o.offer.Early)
			waits(o)

			return acceptAndDeliver(o)
		},
		func(o *opened) error {
			require.True(o, o.offer.Early)
			require.Equal(o, []string{"tree1"}, o.offer.Formats)
			require.Equal(o, everything, o.offer.Can)

			frame := <-o.frames
			o.frames <- frame

			return acceptAndDeliver(o)
		},
	}, func(w *aheadWorld) {
		require.Empty(w, w.sendDown())
		require.Empty(w, w.sendDown())
	})
}

// The parent says what docs/wire.md has for a stream that it does not wait for. The child answers as there.
func TestAhead_ParentSaysItsPart(t *testing.T) {
	entries := readEntries(t, "early")
	require.Len(t, entries, 4)

	withAhead(t, []func(*opened) error{acceptAndDeliver, func(o *opened) error {
		offered := strings.ReplaceAll(o.text, o.offer.ID, goldenLink)
		require.Equal(o, entries[0].text, metadataText(offered))

		frame := <-o.frames
		origin := hex.EncodeToString(frame.GetParcels()[0].GetOrigin())
		data, err := proto.Marshal(frame)
		require.NoError(o, err)
		require.Equal(o, entries[1].text, strings.ReplaceAll(frameText(o.T, data), origin, goldenRoot))

		value, ok := entries[2].metadata()
		require.True(o, ok)
		require.NoError(o, o.SendHeader(metadata.Pairs(session.LinkKey, value)))

		answer := new(ptypes.Packet)
		require.NoError(o, proto.Unmarshal(entries[3].bytes(o.T), answer))
		require.Equal(o, entries[3].text, frameText(o.T, entries[3].bytes(o.T)))
		require.NoError(o, o.Send(answer))
		o.deliver()

		return nil
	}}, func(w *aheadWorld) {
		require.Empty(w, w.sendDown())
		require.Empty(w, w.sendDown())
	})
}

// Promise O7: after a refusal that says so nothing was taken, and the outcome is no timeout. The message
// may go another way.
func TestAhead_MarkedRefusalTakesNothing(t *testing.T) {
	plays := []func(*opened) error{acceptAndDeliver, func(o *opened) error {
		frameFirst(o)

		return refuse(o)
	}}

	withAhead(t, plays, func(w *aheadWorld) {
		require.Empty(w, w.sendDown())

		errs := w.sendDown()
		require.Len(w, errs, 1)
		require.Equal(w, session.ReasonUnreachable, errs[0].Reason)
		require.ErrorContains(w, errs[0].Cause, "not here")
	})

	withAhead(t, plays, func(w *aheadWorld) {
		c := &sessiontest.Peer{}
		w.peer("c", c)
		require.Empty(w, w.sendDown())

		table := &detour{RoutingTable: w.table(1, addr("a"), addr("b")), gateways: addrs("b", "c")}
		require.Empty(w, w.send(table))
		require.Equal(w, addrs("b"), table.failures())
		require.Len(w, c.Forwards(), 1)
	})
}

// Promise O7: where the answer to an opening is lost, the child may have taken what came with it.
func TestAhead_AnyOtherEndLeavesTheMessageInDoubt(t *testing.T) {
	for name, end := range map[string]func(o *opened) error{
		"unmarked status": func(*opened) error { return status.Error(codes.FailedPrecondition, "not here") },
		"clean end":       func(*opened) error { return nil },
		"other terms": func(o *opened) error {
			o.accept("early")
			<-o.Context().Done()

			return nil
		},
		"no duplex link": func(o *opened) error {
			require.NoError(o, o.SendHeader(nil))
			<-o.Context().Done()

			return nil
		},
		"lost connection": func(o *opened) error {
			o.net.Cut("a:1", "b:1")
			<-o.Context().Done()

			return nil
		},
		"no answer": func(o *opened) error {
			<-o.Context().Done()

			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			withAhead(t, []func(*opened) error{acceptAndDeliver, func(o *opened) error {
				frameFirst(o)

				return end(o)
			}}, func(w *aheadWorld) {
				require.Empty(w, w.sendDown())

				began := time.Now()
				errs := w.sendDown()
				require.Len(w, errs, 1)
				require.Equal(w, session.ReasonTimeout, errs[0].Reason)
				require.LessOrEqual(w, time.Since(began), session.DefaultSetupTimeout+time.Second)
			})
		})
	}
}

// A connection that was made anew may lead to a node that knows nothing of what was agreed.
func TestAhead_ReconnectWaitsAgain(t *testing.T) {
	reconnect := func(w *aheadWorld) {
		require.Empty(w, w.sendDown())
		w.net.Cut("a:1", "b:1")
		w.net.Heal("a:1", "b:1")
		synctest.Wait() // A knows that the connection is broken.
		require.Empty(w, w.sendDown())
	}

	t.Run("same node", func(t *testing.T) {
		withAhead(t, []func(*opened) error{acceptAndDeliver, func(o *opened) error {
			waits(o)

			return acceptAndDeliver(o)
		}, func(o *opened) error {
			frame := <-o.frames
			o.frames <- frame

			return acceptAndDeliver(o)
		}}, func(w *aheadWorld) {
			reconnect(w)
			require.Empty(w, w.sendDown())
		})
	})

	t.Run("a node that would not agree to the same", func(t *testing.T) {
		withAhead(t, []func(*opened) error{acceptAndDeliver, func(o *opened) error {
			waits(o)

			return refuse(o)
		}, func(o *opened) error {
			require.False(o, o.offer.Early)

			return acceptAndDeliver(o)
		}}, reconnect)
	})

	t.Run("an existing node", func(t *testing.T) {
		existing := func(o *opened) error {
			require.NoError(o, o.SendHeader(nil))

			for frame := range o.frames {
				o.Errorf("the node has got %v", frame)
			}

			return nil
		}

		withAhead(t, []func(*opened) error{acceptAndDeliver, existing, existing}, func(w *aheadWorld) {
			reconnect(w)
			require.Empty(w, w.sendDown())
			require.Len(w, w.child.Forwards(), 2)
		})
	})
}

// A child of an older version does not say whether it has taken anything.
func TestAhead_ChildThatCannotIsAwaited(t *testing.T) {
	older := func(o *opened) error {
		require.False(o, o.offer.Early)
		waits(o)
		o.accept("cut")
		o.deliver()

		return nil
	}

	withAhead(t, []func(*opened) error{older, older}, func(w *aheadWorld) {
		require.Empty(w, w.sendDown())
		require.Empty(w, w.sendDown())
	})
}

// Promise S3: what a child agrees to that nobody has offered is not remembered, nor said to it again.
func TestAhead_TermsThatWereNotOfferedAreForgotten(t *testing.T) {
	for name, accepted := range map[string]offer.Acceptance{
		"a name":   {Format: "tree1", Can: append(slices.Clone(everything), strings.Repeat("x", 1<<16))},
		"twice":    {Format: "tree1", Can: slices.Repeat(everything, 1000)},
		"a format": {Format: strings.Repeat("x", 1<<16), Can: everything},
	} {
		t.Run(name, func(t *testing.T) {
			withAhead(t, []func(*opened) error{func(o *opened) error {
				accepted.Frame, accepted.Session = o.offer.Frame, "child"
				require.NoError(o, o.SendHeader(metadata.Pairs(session.LinkKey, accepted.Value())))
				o.deliver()

				return nil
			}, func(o *opened) error {
				require.False(o, o.offer.Early)
				waits(o)

				return acceptAndDeliver(o)
			}}, func(w *aheadWorld) {
				require.Empty(w, w.sendDown())
				require.Empty(w, w.sendDown())
			})
		})
	}
}

// Promise O7: frames that this node would read otherwise than they were written are refused unread.
func TestAhead_CalleeIsBoundByWhatItAgreedTo(t *testing.T) {
	for name, tt := range map[string]struct {
		offer offer.Offer
		ok    bool
	}{
		"the same":      {offer.Offer{Formats: []string{"tree1"}, Can: everything}, true},
		"text":          {offer.Offer{Can: everything}, true},
		"other format":  {offer.Offer{Formats: []string{"tree2"}, Can: everything}, false},
		"two formats":   {offer.Offer{Formats: []string{"tree1", "tree2"}, Can: everything}, false},
		"more than can": {offer.Offer{Formats: []string{"tree1"}, Can: []string{"early", "fly"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				tt.offer.ID, tt.offer.Epoch, tt.offer.Frame, tt.offer.Early = offer.NewID(), 1, offer.MaxFrame, true
				stream := fake.NewStream(nil)
				relay, ok := session.AcceptRelay(stream, addr("b"), metadata.Pairs(session.LinkKey, tt.offer.Value()))
				require.True(t, ok)

				sess := w.session(addr("a"))
				w.cleanup = append(w.cleanup, func() { stream.End(io.EOF) })

				_, err := sess.(session.Registrar).Register(relay, w.table(1, addr("a"), addr("c")))
				require.Equal(t, tt.ok, err == nil, err)
			})
		})
	}
}

// lettered sends so many messages to one player, and returns the channels of their outcomes.
func lettered(out mino.Sender, n int, to mino.Address) []<-chan error {
	all := make([]<-chan error, n)
	for i := range all {
		all[i] = out.Send(fake.Message(string(rune('A'+i))), to)
	}

	return all
}

// relayed is a root that passes messages on to one child, over a way that takes farAway.
type relayed struct {
	*testing.T
	mino.UnsupportedHandler

	nodes *sessiontest.Nodes
	got   chan string
	rpc   mino.RPC
}

const farAway = 10 * time.Millisecond

// withRelayed runs a test in which a stream over the root and the child has been before.
func withRelayed(t *testing.T, test func(r *relayed)) {
	t.Helper()

	synctest.Test(t, func(t *testing.T) {
		r := &relayed{T: t, got: make(chan string, 100)}
		r.nodes = sessiontest.Cluster(t, 3, sessiontest.WithRPC("test", r, fake.MessageFactory{}))
		r.rpc = r.nodes.RPC(2, "test")
		r.nodes.Network().Delay("n0:1", "n1:1", farAway)
		r.nodes.Network().Delay("n1:1", "n0:1", farAway)

		r.stream(1, func() {})
		require.Equal(t, "A", <-r.got)

		test(r)
	})
}

// Stream implements mino.Handler.
func (r *relayed) Stream(_ mino.Sender, in mino.Receiver) error {
	for {
		_, msg, err := in.Recv(context.Background())
		if msg == nil {
			return err
		}

		r.got <- string(msg.(fake.Message))
	}
}

// Promise L1: once the child has accepted, the link gives signs of life like any other.
func TestAhead_LinkBeatsOnceItIsAccepted(t *testing.T) {
	withAhead(t, []func(*opened) error{
		acceptAndDeliver,
		func(o *opened) error {
			frame := <-o.frames
			o.accept(everything...)

			began := time.Now()
			beat := <-o.frames
			require.Zero(o, beat.GetFrame())
			require.Less(o, time.Since(began), session.DefaultLiveness)

			answer := &ptypes.Packet{Received: frame.GetFrame(), Frame: 1}
			for _, p := range frame.GetParcels() {
				answer.Delivered = append(answer.Delivered, p.GetId())
			}

			require.NoError(o, o.Send(answer))
			o.deliver()

			return nil
		},
	}, func(w *aheadWorld) {
		require.Empty(w, w.sendDown())
		require.Empty(w, w.sendDown())
	})
}

// stream opens a stream, sends messages to the child, and returns their errors.
func (r *relayed) stream(n int, meanwhile func()) []error {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()

	out, _, err := r.rpc.Stream(ctx, mino.NewAddresses(r.nodes.Address(0), r.nodes.Address(1)))
	require.NoError(r, err)

	all := lettered(out, n, r.nodes.Address(1))

	meanwhile()

	errs := make([]error, n)
	for i, outcome := range all {
		errs[i] = <-outcome
	}

	return errs
}

func TestAhead_FirstMessageTakesOneWay(t *testing.T) {
	withRelayed(t, func(r *relayed) {
		r.stream(1, func() {
			began := time.Now()
			require.Equal(r, "A", <-r.got)
			require.Equal(r, farAway, time.Since(began))
		})
	})
}

// Promises M2, L5: a break after the child has accepted costs nothing of what came with the opening.
func TestAhead_NothingIsLostOrComesTwiceOverAResume(t *testing.T) {
	withRelayed(t, func(r *relayed) {
		const n = 20

		for _, err := range r.stream(n, func() {
			// The header is back, and receipts are on their way.
			time.Sleep(2*farAway + farAway/2)
			r.nodes.Network().Cut("n0:1", "n1:1")
			r.nodes.Network().Heal("n0:1", "n1:1")
		}) {
			require.NoError(r, err)
		}

		synctest.Wait()
		require.Len(r, r.got, n)

		for i := range n {
			require.Equal(r, string(rune('A'+i)), <-r.got)
		}
	})
}

// Promise O7: what is said of messages that came with an opening is true, whenever the connection breaks.
func TestAhead_BreakBeforeTheAnswerLeavesDoubtAndNoLie(t *testing.T) {
	for _, after := range []time.Duration{farAway / 2, farAway + farAway/2} {
		t.Run(after.String(), func(t *testing.T) {
			withRelayed(t, func(r *relayed) {
				const n = 5

				errs := r.stream(n, func() {
					time.Sleep(after)
					r.nodes.Network().Cut("n0:1", "n1:1")
					r.nodes.Network().Heal("n0:1", "n1:1")
				})

				got := make(map[string]int)
				for range len(r.got) {
					got[<-r.got]++
				}

				for i, err := range errs {
					text := string(rune('A' + i))
					require.LessOrEqual(r, got[text], 1, text)

					if err == nil {
						require.Equal(r, 1, got[text], text)
					} else {
						require.True(r, (&world{T: r.T}).failure(err).InDoubt(), "%s: %v", text, err)
					}
				}
			})
		})
	}
}
