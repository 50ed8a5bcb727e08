package host_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/serde"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Without a policy anybody opens, adopts and feeds.
func TestHost_ReachesEveryPlayerThroughTheRoot(t *testing.T) {
	for name, opts := range map[string][]host.Option{
		"duplex links": nil,
		"calls":        {host.WithoutDuplex()},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				var (
					parent   mino.Address
					isProved bool
				)

				asks := handler{stream: func(out mino.Sender, in mino.Receiver) error {
					parent, isProved = host.ParentOf(in)

					return echo.stream(out, in)
				}}
				a, b, c := w.start("a:1", echo, opts...), w.start("b:1", echo, opts...), w.start("c:1", asks, opts...)

				out, in, err := a.test.Stream(w.Context(), players(b, c, b))
				require.NoError(w, err)
				w.requireEcho(out, in, b)
				w.requireEcho(out, in, c)
				require.Equal(w, b.me, parent)
				require.False(w, isProved, "nobody has asked for a proof")
			})
		})
	}
}

// Promise L3: a root that accepts the stream and never answers costs the caller the time of its
// context, or of a set-up, and a stop ends the set-up.
func TestStream_MuteRootKeepsNobodyForever(t *testing.T) {
	for name, tc := range map[string]struct {
		end  func(cancel context.CancelFunc, n *node)
		want error
		took time.Duration
	}{
		"the context ends": {func(cancel context.CancelFunc, _ *node) { cancel() }, context.Canceled, time.Second},
		"the node stops":   {func(_ context.CancelFunc, n *node) { _ = n.stop() }, host.ErrStopped, time.Second},
		"nobody ends it":   {nil, context.DeadlineExceeded, session.DefaultSetupTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				listener, err := w.network.Listen("mute:1")
				require.NoError(w, err)
				w.Cleanup((&sessiontest.Peer{NoHeader: true}).Serve(listener))

				a := w.start("a:1", echo)
				ctx, cancel := context.WithCancel(w.Context())
				w.Cleanup(cancel)

				if tc.end != nil {
					time.AfterFunc(time.Second, func() { tc.end(cancel, a) })
				}

				begin := time.Now()
				_, _, err = a.test.Stream(ctx, mino.NewAddresses(session.NewAddress("grpc://mute:1")))
				require.ErrorIs(w, err, tc.want)
				require.Equal(w, tc.took, time.Since(begin))
				synctest.Wait()
				require.Zero(w, a.conns.Len())
			})
		})
	}
}

func TestStream_EndsWithItsContext(t *testing.T) {
	inWorld(t, func(w *world) {
		ended := make(chan error, 1)
		a := w.start("a:1", echo)
		b := w.start("b:1", handler{stream: func(out mino.Sender, in mino.Receiver) error {
			err := echo.stream(out, in)
			ended <- err

			return err
		}})
		cause := errors.New("the caller has had enough")

		ctx, cancel := context.WithCancelCause(w.Context())
		out, in, err := a.test.Stream(ctx, players(b))
		require.NoError(w, err)
		w.requireEcho(out, in, b)

		cancel(cause)

		_, _, err = in.Recv(context.Background())
		require.ErrorIs(w, err, cause)
		require.NoError(w, <-ended)
	})
}

func TestStream_NeedsAContextAndPlayers(t *testing.T) {
	inWorld(t, func(w *world) {
		a, b := w.start("a:1", echo, host.WithMaxPlayers(1)), w.start("b:1", echo)

		var none context.Context

		_, _, err := a.test.Stream(none, players(b))
		require.EqualError(w, err, "open stream: no context")
		_, _, err = a.test.Stream(w.Context(), nil)
		require.EqualError(w, err, "open stream: no players")
		_, _, err = a.test.Stream(w.Context(), players())
		require.EqualError(w, err, "open stream: no players")
		_, _, err = a.test.Stream(w.Context(), players(a, b))
		require.EqualError(w, err, "open stream: 2 players are more than 1")

		// A message for one of them would come to the other, and its answer from nobody.
		twin := session.NewAddress("grpcs://" + a.me.GetDialAddress())
		_, _, err = b.test.Stream(w.Context(), mino.NewAddresses(a.me, twin))
		require.EqualError(w, err, fmt.Sprintf("open stream: the players %v and %v are the same node", a.me, twin))
	})
}

// Promise: a stream that has ended on a node stays ended there, and no second handler starts.
func TestHost_EndedStreamStaysEnded(t *testing.T) {
	inWorld(t, func(w *world) {
		begun := 0
		a := w.start("a:1", handler{stream: func(out mino.Sender, in mino.Receiver) error {
			begun++

			return echo.stream(out, in)
		}})

		opened, err := w.open(a, as("FAstranger:1", "1")...)
		require.NoError(w, err)
		require.NoError(w, opened.Stream.(ptypes.Overlay_StreamClient).CloseSend())
		time.Sleep(time.Minute)

		_, err = w.open(a, as("FAstranger:1", "1")...)
		require.Equal(w, codes.FailedPrecondition, status.Code(err))
		require.ErrorContains(w, err, "the stream has ended on this node")

		_, err = w.forward(a, &ptypes.Packet{}, as("FAstranger:1", "1")...)
		require.Equal(w, codes.NotFound, status.Code(err))

		_, err = w.open(a, as("FAstranger:1", "2")...)
		require.NoError(w, err)
		synctest.Wait()
		require.Equal(w, 2, begun)
	})
}

// Promise: a stream that resumes a link begins nothing. The node that knew the link was another one, such as
// this one before a restart.
func TestHost_UnknownLinkIsNotResumed(t *testing.T) {
	const resumes = "duplex-1;id=00112233445566778899aabbccddeeff;epoch=2;received=0;frame=262144"

	inWorld(t, func(w *world) {
		a := w.start("a:1", handler{stream: func(mino.Sender, mino.Receiver) error { panic("nothing has begun") }})

		_, err := w.open(a, as("FAstranger:1", "1", session.LinkKey, resumes)...)
		require.Equal(w, codes.FailedPrecondition, status.Code(err))
		require.ErrorContains(w, err, "the link is not known on this node")
	})
}

func TestHost_RefusesMalformedCalls(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.start("a:1", echo)
		from, procedure := []string{session.GatewayKey, "FAs:1"}, []string{session.URIKey, "test"}
		child := []string{session.HandshakeKey, `{"Height":1,"Addresses":[]}`}

		for name, tc := range map[string]struct {
			md   []string
			want codes.Code
		}{
			"no gateway":          {append(procedure, session.StreamIDKey, "1"), codes.InvalidArgument},
			"no procedure":        {append(from, session.StreamIDKey, "1"), codes.InvalidArgument},
			"no stream":           {append(procedure, from...), codes.InvalidArgument},
			"long stream":         {as("FAs:1", strings.Repeat("x", 257)), codes.InvalidArgument},
			"no host":             {as("FA", "1"), codes.InvalidArgument},
			"unknown procedure":   {append(from, session.URIKey, "no"), codes.Unimplemented},
			"malformed handshake": {as("FAs:1", "1", session.HandshakeKey, "{"), codes.InvalidArgument},
			"malformed player":    {as("FAs:1", "1", session.PlayerKey, "x"), codes.InvalidArgument},
			"malformed ancestor":  {as("FAs:1", "1", session.AncestorKey, "x"), codes.InvalidArgument},
			"malformed orchestrator": {
				as("FAs:1", "1", append(child, session.OrchestratorKey, "x")...), codes.InvalidArgument,
			},
			"long orchestrator": {
				as("FAs:1", "1", append(child, session.OrchestratorKey, "FA"+strings.Repeat("x", 511))...),
				codes.InvalidArgument,
			},
			"two orchestrators": {
				as("FAs:1", "1", append(child, session.OrchestratorKey, "FAa:1", session.OrchestratorKey, "FAb:1")...),
				codes.InvalidArgument,
			},
		} {
			_, err := w.open(a, tc.md...)
			require.Equal(w, tc.want, status.Code(err), "%s: %v", name, err)
		}
	})
}

// A question that ends with its context ends with the cause of that, whatever gRPC makes of it.
func TestAsk_EndsWithTheCauseOfItsContext(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.start("a:1", echo)
		cause := errors.New("not wanted any more")
		ctx, cancel := context.WithCancelCause(w.Context())

		responses, err := a.test.Ask(ctx, players(a), func(ctx context.Context, _ mino.Address) (serde.Message, error) {
			cancel(cause)
			<-ctx.Done()

			return nil, status.FromContextError(ctx.Err()).Err()
		})
		require.NoError(w, err)

		_, err = (<-responses).GetMessageOrError()
		require.ErrorIs(w, err, cause)
		require.ErrorIs(w, err, context.Canceled)
		require.Equal(w, codes.Canceled, status.Code(err))
	})
}
