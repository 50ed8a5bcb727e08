package worlds_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/serde/json"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// forwarding is a connection to a root that takes packets in calls.
type forwarding struct {
	grpc.ClientConnInterface

	// calls are the calls that the session has made, with their metadata.
	calls []metadata.MD
	// texts are the errors in each Ack. err is the error of each call.
	texts []string
	err   error
}

func (f *forwarding) Invoke(ctx context.Context, method string, _, reply any, _ ...grpc.CallOption) error {
	if method != ptypes.Overlay_Forward_FullMethodName {
		return status.Error(codes.Unimplemented, method)
	}

	md, _ := metadata.FromOutgoingContext(ctx)
	f.calls = append(f.calls, md)
	proto.Merge(reply.(proto.Message), &ptypes.Ack{Errors: f.texts})

	return f.err
}

// above returns the session of an orchestrator above an existing root, and the stream to that
// root.
func (w *world) above(conn grpc.ClientConnInterface) (session.Session, *fake.Stream) {
	me := session.NewOrchestratorAddress(addr("o"))
	stream := fake.NewStream(nil)
	calls := metadata.Pairs("apiuri", "test", "streamid", "1", "gateway", "FAo:1")

	relay, err := session.DialRelay(w.Context(), addr("root"), json.NewContext(), routerOf(3).GetPacketFactory(),
		func(context.Context, metadata.MD) (session.OpenStream, error) {
			return session.OpenStream{
				Stream: openerStream{stream}, Header: metadata.MD{}, Conn: conn, Calls: calls,
				Release: func() { stream.End(context.Canceled) },
			}, nil
		})
	require.NoError(w, err)

	sess := w.session(me)
	ready, over := make(chan struct{}), make(chan struct{})

	go func() {
		defer close(over)

		sess.Listen(relay, w.table(3, me), ready)
	}()

	<-ready

	w.cleanup = append(w.cleanup, func() {
		sess.Close()
		<-over
	})

	return sess, stream
}

// Promise O1: an orchestrator sends packets to an existing root in calls, because such a root
// ends its stream when a packet comes over it. The outcomes are those of the Ack. What the root
// sends up comes over the stream.
func TestDialRelay_ExistingRootTakesCalls(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		conn := &forwarding{}
		sess, stream := w.above(conn)

		require.Empty(t, w.outcomes(sess.Send(fake.Message("hello"), addr("b"))))
		require.Empty(t, stream.Sent())
		require.Equal(t, []metadata.MD{
			metadata.Pairs("apiuri", "test", "streamid", "1", "gateway", "FAo:1"),
		}, conn.calls)

		stream.Feed(w.packet(addr("b"), session.NewOrchestratorAddress(addr("o"))))

		from, msg := w.recv(sess)
		require.Equal(t, fake.Message("hello"), msg)
		require.True(t, from.Equal(addr("b")))

		conn.texts = []string{"no route to grpc://c:1: by the test"}
		errs := w.outcomes(sess.Send(fake.Message("hello"), addrs("b", "c")...))
		require.Len(t, errs, 1)
		require.Equal(t, addr("c"), errs[0].Destination)
	})
}

// Promise L7: an orchestrator learns at once that its existing root cannot be called, because
// nobody would adopt the orchestrator. The end of its stream ends the session.
func TestDialRelay_ExistingRootIsLost(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, stream := w.above(&forwarding{err: status.Error(codes.Unavailable, "by the test")})

		errs := w.outcomes(sess.Send(fake.Message("hello"), addr("b")))
		require.Len(t, errs, 1)
		require.Equal(t, session.ReasonTimeout, errs[0].Reason)

		stream.End(status.Error(codes.Unavailable, "by the test"))
		synctest.Wait()

		_, _, err := sess.Recv(t.Context())
		require.ErrorContains(t, err, "by the test")
		require.Zero(t, sess.GetNumParents())
	})
}

// A root that takes packets in calls alone needs a connection for them.
func TestDialRelay_ExistingRootWithoutAConnection(t *testing.T) {
	released := 0

	_, err := session.DialRelay(t.Context(), addr("root"), json.NewContext(), routerOf(3).GetPacketFactory(),
		func(context.Context, metadata.MD) (session.OpenStream, error) {
			return session.OpenStream{
				Stream: fake.NewStream(nil), Header: metadata.MD{}, Release: func() { released++ },
			}, nil
		})
	require.ErrorContains(t, err, "no connection for calls")
	require.Equal(t, 1, released)
}

// Promise R1: a call in the name of the orchestrator's node comes from above exactly if the
// orchestrator is its source; then the packet goes only down. Any other packet is from the
// player on that node, and may go up.
func TestRoot_CallsOfAnExistingOrchestratorComeFromAbove(t *testing.T) {
	for name, opts := range map[string][]session.Option{"open": nil, "strict": {session.WithNeighborsOnly()}} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				above := session.NewOrchestratorAddress(addr("o"))
				sess := w.session(addr("a"), opts...)
				parent := fake.NewRelay(above, nil)
				w.listen(sess, parent, w.table(1, addr("a"), addrs("o", "b")...))

				ack, err := sess.RecvPacket(addr("o"), w.packet(above, addr("a")))
				require.NoError(t, err)
				require.Empty(t, ack.GetErrors())

				from, _ := w.recv(sess)
				require.True(t, from.Equal(above))

				// A packet from above does not go back up.
				ack, err = sess.RecvPacket(addr("o"), w.packet(above, above))
				require.NoError(t, err)
				require.Len(t, ack.GetErrors(), 1)
				require.Empty(t, parent.Sent())

				if name == "strict" {
					// The player has no link yet.
					_, err = sess.RecvPacket(addr("o"), w.packet(addr("o"), above))
					require.ErrorIs(t, err, session.ErrSource)

					w.peer("o", &sessiontest.Peer{})
					require.Empty(t, w.outcomes(sess.Send(fake.Message("hello"), addr("o"))))
				}

				ack, err = sess.RecvPacket(addr("o"), w.packet(addr("o"), above))
				require.NoError(t, err)
				require.Empty(t, ack.GetErrors())
				require.Len(t, parent.Sent(), 1)
			})
		})
	}
}
