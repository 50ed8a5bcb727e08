package minogrpc_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/serde"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// collect reads the responses until the channel is closed, by player.
func collect(t *testing.T, responses <-chan mino.Response) map[mino.Address]mino.Response {
	t.Helper()

	all := make(map[mino.Address]mino.Response)

	for resp := range responses {
		require.NotContains(t, all, resp.GetFrom())
		all[resp.GetFrom()] = resp
	}

	return all
}

// requireCall checks that all the nodes answer.
func requireCall(t *testing.T, rpc mino.RPC, nodes ...*minogrpc.Minogrpc) {
	t.Helper()

	responses, err := rpc.Call(t.Context(), text("hello"), playersOf(nodes...))
	require.NoError(t, err)

	for _, resp := range collect(t, responses) {
		_, err := resp.GetMessageOrError()
		require.NoError(t, err)
	}
}

// unreachable returns an address that nobody listens on any more.
func unreachable(t *testing.T) mino.Address {
	t.Helper()

	listener := listen(t)
	require.NoError(t, listener.Close())

	addr := session.NewAddress(scheme() + "://" + listener.Addr().String())
	cert := strangerCertificate(t)
	require.NoError(t, known.Store(addr, cert.Certificate[0]))

	return addr
}

func TestCall_EveryPlayerAnswersOnce(t *testing.T) {
	nodes, rpc := startAll(t, 5, echo)

	responses, err := rpc.Call(t.Context(), text("hello"), playersOf(nodes...))
	require.NoError(t, err)

	all := collect(t, responses)
	require.Len(t, all, len(nodes))

	for _, addr := range addressesOf(nodes...) {
		msg, err := all[addr].GetMessageOrError()
		require.NoError(t, err)
		require.Equal(t, text("hello"), msg)
	}
}

func TestCall_NamesTheCaller(t *testing.T) {
	caller := make(chan mino.Address, 1)
	h := handler{process: func(req mino.Request) (serde.Message, error) {
		caller <- req.Address

		return nil, nil
	}}
	nodes, rpc := startAll(t, 2, h, transport())

	responses, err := rpc.Call(t.Context(), text("hello"), playersOf(nodes[1]))
	require.NoError(t, err)

	msg, err := (<-responses).GetMessageOrError()
	require.NoError(t, err)
	require.Equal(t, text(""), msg, "no answer is an empty one, which the factory decodes")
	require.Equal(t, nodes[0].GetAddress(), <-caller)
}

// Promise S1: a panic in a handler is an error of that call.
func TestCall_FailuresAreResponses(t *testing.T) {
	nodes, rpc := startAll(t, 3, echo, transport())
	failing, panicking := start(t, transport()), start(t, transport())
	mino.MustCreateRPC(failing, rpcName, handler{process: func(mino.Request) (serde.Message, error) {
		return nil, errHandler
	}}, texts{})
	mino.MustCreateRPC(panicking, rpcName, handler{process: func(mino.Request) (serde.Message, error) {
		panic("at the disco")
	}}, texts{})

	stranger, nobody := start(t, transport()).GetAddress(), unreachable(t)
	players := append(addressesOf(nodes...), failing.GetAddress(), panicking.GetAddress(), stranger, nobody)

	responses, err := rpc.Call(t.Context(), text("hello"), mino.NewAddresses(players...))
	require.NoError(t, err)

	all := collect(t, responses)
	require.Len(t, all, len(players))

	for addr, reason := range map[mino.Address]string{
		failing.GetAddress():   errHandler.Error(),
		panicking.GetAddress(): "panic: at the disco",
		stranger:               `unknown procedure "test"`,
		nobody:                 "connection refused",
	} {
		_, err := all[addr].GetMessageOrError()
		require.ErrorContains(t, err, reason)
		delete(all, addr)
	}

	for _, resp := range all {
		_, err := resp.GetMessageOrError()
		require.NoError(t, err)
	}
}

// fullTexts is the factory of a procedure whose messages are never empty.
type fullTexts struct{}

func (fullTexts) Deserialize(_ serde.Context, data []byte) (serde.Message, error) {
	if len(data) == 0 {
		return nil, errors.New("the message is empty")
	}

	return text(data), nil
}

// As at nodes of an existing network, it is the factory that says what an empty answer is.
func TestCall_AnEmptyAnswerIsForTheFactory(t *testing.T) {
	node := start(t, transport())
	rpc := mino.MustCreateRPC(node, rpcName, handler{process: func(mino.Request) (serde.Message, error) {
		return nil, nil
	}}, fullTexts{})

	responses, err := rpc.Call(t.Context(), text("hello"), playersOf(node))
	require.NoError(t, err)
	_, err = (<-responses).GetMessageOrError()
	require.ErrorContains(t, err, "the message is empty")
}

// badFactory cannot read what it gets.
type badFactory struct{}

func (badFactory) Deserialize(serde.Context, []byte) (serde.Message, error) {
	panic("no such message")
}

// Promise S1: a panic in a factory is an error of that call.
func TestCall_BadFactoryIsAnError(t *testing.T) {
	nodes := []*minogrpc.Minogrpc{start(t, transport()), start(t, transport())}
	rpc := mino.MustCreateRPC(nodes[0], rpcName, echo, badFactory{})
	mino.MustCreateRPC(nodes[1], rpcName, echo, texts{})

	responses, err := rpc.Call(t.Context(), text("hello"), playersOf(nodes...))
	require.NoError(t, err)

	for _, resp := range collect(t, responses) {
		_, err := resp.GetMessageOrError()
		require.ErrorContains(t, err, "no such message")
	}
}

// badMessage cannot be sent.
type badMessage struct{}

func (badMessage) Serialize(serde.Context) ([]byte, error) {
	return nil, errors.New("no such format")
}

func TestCall_ChecksItsArguments(t *testing.T) {
	nodes, rpc := startAll(t, 1, echo, transport())

	_, err := rpc.Call(t.Context(), nil, playersOf(nodes...))
	require.Error(t, err)
	_, err = rpc.Call(t.Context(), text("hello"), nil)
	require.Error(t, err)
	_, err = rpc.Call(t.Context(), badMessage{}, playersOf(nodes...))
	require.ErrorContains(t, err, "no such format")

	responses, err := rpc.Call(t.Context(), text("hello"), mino.NewAddresses())
	require.NoError(t, err)
	require.Empty(t, collect(t, responses))

	responses, err = rpc.Call(t.Context(), text("hello"), mino.NewAddresses(nil))
	require.NoError(t, err)
	_, err = (<-responses).GetMessageOrError()
	require.ErrorContains(t, err, "no address")
}

func TestCall_AsksABoundedNumberAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := sessiontest.NewNetwork()
		t.Cleanup(network.Close)

		var running, most atomic.Int32

		h := handler{process: func(req mino.Request) (serde.Message, error) {
			running.Add(1)
			defer running.Add(-1)

			// All that run at once have counted themselves by the end of this second.
			time.Sleep(time.Second)
			most.Store(max(most.Load(), running.Load()))

			return req.Message, nil
		}}

		node := startIn(t, network, "n1:1")
		rpc := mino.MustCreateRPC(node, rpcName, h, texts{})

		players := make([]mino.Address, 200)
		for i := range players {
			players[i] = node.GetAddress()
		}

		responses, err := rpc.Call(t.Context(), text("hello"), mino.NewAddresses(players...))
		require.NoError(t, err)

		for resp := range responses {
			_, err := resp.GetMessageOrError()
			require.NoError(t, err)
		}

		require.EqualValues(t, 64, most.Load())
	})
}

func TestCall_EndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := sessiontest.NewNetwork()
		t.Cleanup(network.Close)

		node, peer := startIn(t, network, "n1:1"), startIn(t, network, "n2:1")
		rpc := mino.MustCreateRPC(node, rpcName, echo, texts{})
		mino.MustCreateRPC(peer, rpcName, echo, texts{})

		// A connection that is not yet open would fail by itself.
		requireCall(t, rpc, peer)
		network.Freeze("n2:1", "n1:1")
		t.Cleanup(func() { network.Heal("n1:1", "n2:1") })

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()

		begin := time.Now()
		responses, err := rpc.Call(ctx, text("hello"), playersOf(peer))
		require.NoError(t, err)

		_, err = (<-responses).GetMessageOrError()
		require.Equal(t, codes.DeadlineExceeded, status.Code(errors.Unwrap(err)))
		require.Equal(t, time.Minute, time.Since(begin))

		_, more := <-responses
		require.False(t, more)
	})
}
