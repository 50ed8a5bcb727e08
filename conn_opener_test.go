package session_test

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// streamMetadata are those of a stream to a root.
func streamMetadata() metadata.MD {
	return metadata.Pairs(session.URIKey, "test", session.StreamIDKey, "1", session.GatewayKey, "FAme:1",
		session.PlayerKey, "FAn2:1", session.ProtocolKey, session.UndefinedProtocol)
}

// Promise L3: a node that accepts a stream and sends no header costs the opener the time of its
// context, and the next attempt does not use that connection again.
func TestConnOpener_MuteNodeCostsTheTimeOfTheContext(t *testing.T) {
	inNetwork(t, func(t *testing.T, n network) {
		n.peer("n1", &sessiontest.Peer{NoHeader: true})
		mgr, dials := n.conns(session.WithIdleTimeout(time.Minute))

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()

		start := time.Now()
		_, err := session.ConnOpener(mgr, addr("n1"), streamMetadata())(ctx, nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(start))

		require.NoError(t, call(acquire(t, mgr, addr("n1"))))
		require.EqualValues(t, 2, dials.Load())
		mgr.Release(addr("n1"))
	})
}

// Promise L5: an attempt that takes all its time does not end the streams of others, as long as anything
// comes over their connection.
func TestConnOpener_SlowNodeKeepsTheConnectionOfOthers(t *testing.T) {
	inNetwork(t, func(t *testing.T, n network) {
		n.peer("n1", &sessiontest.Peer{NoHeader: true})
		mgr, dials := n.conns()
		used := acquire(t, mgr, addr("n1"))

		ctx, cancel := context.WithCancelCause(t.Context())

		for i := range 10 {
			time.AfterFunc(time.Duration(i+1)*100*time.Millisecond, func() { _ = call(used) })
		}

		time.AfterFunc(1010*time.Millisecond, func() { cancel(context.DeadlineExceeded) })

		_, err := session.ConnOpener(mgr, addr("n1"), streamMetadata())(ctx, nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NoError(t, call(used))
		require.EqualValues(t, 1, dials.Load())
		mgr.Release(addr("n1"))
	})
}

// Promise L5: a connection over which nothing has ever come is no sign of life, however late it was made:
// the next attempt does not use it again.
func TestConnOpener_ConnectionMadeLateIsNoSignOfLife(t *testing.T) {
	inNetwork(t, func(t *testing.T, n network) {
		silent, err := n.Listen("n1:1")
		require.NoError(t, err)

		defer func() { require.NoError(t, silent.Close()) }()

		dials := new(atomic.Int64)
		dialer := n.Dialer("me:1")
		mgr := session.NewConnManager(session.WithDialOptions(grpc.WithContextDialer(
			func(ctx context.Context, target string) (net.Conn, error) {
				dials.Add(1)
				time.Sleep(600 * time.Millisecond)

				return dialer(ctx, target)
			})))
		acquire(t, mgr, addr("n1")) // Others hold the connection, too.

		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err := session.ConnOpener(mgr, addr("n1"), streamMetadata())(ctx, nil)

			cancel()
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}

		require.EqualValues(t, 2, dials.Load())
		mgr.Release(addr("n1"))
		require.NoError(t, mgr.Close())
	})
}

// A caller that gives up says nothing about the connection, which others use, too.
func TestConnOpener_CallerThatGivesUpKeepsTheConnection(t *testing.T) {
	inNetwork(t, func(t *testing.T, n network) {
		n.peer("n1", &sessiontest.Peer{NoHeader: true})
		mgr, dials := n.conns()
		used := acquire(t, mgr, addr("n1"))
		cause := errors.New("the caller has had enough")

		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(cause) })

		_, err := session.ConnOpener(mgr, addr("n1"), streamMetadata())(ctx, nil)
		require.ErrorIs(t, err, cause)
		require.NoError(t, call(used), "others use it")
		require.EqualValues(t, 1, dials.Load())
		mgr.Release(addr("n1"))
	})
}

// gRPC returns neither a header nor an error for a stream that is refused.
func TestConnOpener_RefusalIsItsStatus(t *testing.T) {
	inNetwork(t, func(t *testing.T, n network) {
		n.peer("n1", &sessiontest.Peer{Refuse: status.Error(codes.PermissionDenied, "not you")})
		mgr, _ := n.conns()

		_, err := session.ConnOpener(mgr, addr("n1"), streamMetadata())(t.Context(), nil)
		require.Equal(t, codes.PermissionDenied, status.Code(err))
		require.ErrorContains(t, err, "not you")
		require.Zero(t, mgr.Len())
	})
}

func TestConnOpener_StreamOutlivesTheSetUp(t *testing.T) {
	inNetwork(t, func(t *testing.T, n network) {
		peer := new(sessiontest.Peer)
		n.peer("n1", peer)
		mgr, _ := n.conns()

		ctx, cancel := context.WithCancel(t.Context())
		offer := metadata.Pairs(session.LinkKey, "an offer")

		opened, err := session.ConnOpener(mgr, addr("n1"), streamMetadata())(ctx, offer)
		require.NoError(t, err)
		cancel()
		synctest.Wait()
		require.NoError(t, opened.Stream.Context().Err())
		require.NotNil(t, opened.Header)

		seen := peer.Streams()[0]
		require.Equal(t, []string{"an offer"}, seen.Get(session.LinkKey))
		require.Equal(t, []string{"FAn2:1"}, seen.Get(session.PlayerKey))

		// Calls have what names the stream and the caller, and no players.
		require.Equal(t, metadata.Pairs(session.URIKey, "test", session.StreamIDKey, "1",
			session.GatewayKey, "FAme:1"), opened.Calls)

		opened.Release()
		require.Error(t, opened.Stream.Context().Err())
		require.Zero(t, mgr.Len())
	})
}

func TestReadOffer(t *testing.T) {
	const link = "duplex-1;id=00112233445566778899aabbccddeeff;frame=262144;epoch="

	for value, want := range map[string]session.Offer{
		"":                  {},
		"goodbye":           {Goodbye: true},
		"root":              {Root: true},
		link + "1":          {Duplex: true},
		link + "2":          {Duplex: true, Resumes: true},
		link + "0":          {},
		"nobody knows this": {},
	} {
		got := session.ReadOffer(metadata.Pairs(session.LinkKey, value))
		require.Equal(t, want, got, value)

		_, accepted := session.AcceptRelay(nil, nil, metadata.Pairs(session.LinkKey, value))
		require.Equal(t, want.Duplex, accepted, value)
	}

	require.Equal(t, session.Offer{}, session.ReadOffer(nil))
	require.Empty(t, session.Offer{Duplex: true}.RelayOptions())
	require.Len(t, session.Offer{Goodbye: true, Root: true}.RelayOptions(), 2)
}
