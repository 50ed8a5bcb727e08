package minogrpc_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/serde"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A player whose address cannot travel is named in the error.
func TestStream_NamesThePlayerThatCannotBeEncoded(t *testing.T) {
	node := start(t)
	rpc := mino.MustCreateRPC(node, rpcName, echo, texts{})

	for _, host := range []string{"bücher.example:1", "a\x01b:1", "line\nbreak:1"} {
		odd := session.NewAddress("grpc://" + host)

		_, _, err := rpc.Stream(t.Context(), mino.NewAddresses(node.GetAddress(), odd))
		require.ErrorContains(t, err, "player ")

		answers, err := rpc.Call(t.Context(), text("hello"), mino.NewAddresses(odd))
		require.NoError(t, err)

		_, err = (<-answers).GetMessageOrError()
		require.Error(t, err)
	}
}

// An error text of any size is cut where it travels.
func TestErrors_TextsAreCut(t *testing.T) {
	huge := errors.New("begin " + strings.Repeat("x", 17<<20))
	failing := handler{
		process: func(mino.Request) (serde.Message, error) { return nil, huge },
		stream:  func(mino.Sender, mino.Receiver) error { return huge },
	}

	node := start(t)
	rpc := mino.MustCreateRPC(node, rpcName, failing, texts{})

	_, in, err := rpc.Stream(t.Context(), mino.NewAddresses(node.GetAddress()))
	require.NoError(t, err)

	_, _, err = in.Recv(t.Context())
	require.ErrorContains(t, err, "begin xxx")
	require.Less(t, len(err.Error()), 10_000)

	answers, err := rpc.Call(t.Context(), text("hello"), mino.NewAddresses(node.GetAddress()))
	require.NoError(t, err)

	_, err = (<-answers).GetMessageOrError()
	require.ErrorContains(t, err, "begin xxx")
	require.Less(t, len(err.Error()), 10_000)
}

// Stream and Call say the same of a deadline that is over.
func TestErrors_DeadlineIsTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sessiontest.Cluster(t, 2, sessiontest.WithMinogrpc(linked(nil)...),
			sessiontest.WithRPC(rpcName, echo, texts{}))
		rpc, mute := c.RPC(0, rpcName), mino.NewAddresses(c.Address(1))
		c.Freeze(1)

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()

		answers, err := rpc.Call(ctx, text("hello"), mute)
		require.NoError(t, err)

		_, _, ofStream := rpc.Stream(ctx, mute)
		_, ofCall := (<-answers).GetMessageOrError()

		for what, err := range map[string]error{"stream": ofStream, "call": ofCall} {
			require.ErrorIs(t, err, context.DeadlineExceeded, what)
			require.Equal(t, codes.DeadlineExceeded, status.Code(err), what)
		}
	})
}
