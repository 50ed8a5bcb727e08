package minogrpc_test

import (
	"context"
	"net"
	"net/url"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/router/tree"
	"github.com/minogrpc/session/sessiontest"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// foreign is an address of a type that is not ours. It panics in one of its methods.
type foreign struct {
	inner  mino.Address
	method string
}

func (a foreign) panicIn(method string) {
	if a.method == method {
		panic(oops)
	}
}

func (a foreign) MarshalText() ([]byte, error) {
	a.panicIn("MarshalText")

	return a.inner.MarshalText()
}

func (a foreign) Equal(other mino.Address) bool {
	a.panicIn("Equal")

	return a.inner.Equal(other)
}

func (a foreign) String() string {
	a.panicIn("String")

	return a.inner.String()
}

func (a foreign) ConnectionType() mino.AddressConnectionType {
	a.panicIn("ConnectionType")

	return a.inner.ConnectionType()
}

// Promise S1: an address that panics is an error of that player, and of no other.
func TestCall_APanickingAddressIsAnErrorOfThatPlayer(t *testing.T) {
	nodes, rpc := startAll(t, 1, echo, transport())
	node := nodes[0].GetAddress()
	bad := []mino.Address{
		(*session.Address)(nil),
		foreign{node, "MarshalText"},
		foreign{node, "ConnectionType"},
	}
	good := []mino.Address{node, foreign{node, "Equal"}, foreign{node, "String"}}

	responses, err := rpc.Call(t.Context(), text("hello"), mino.NewAddresses(append(bad, good...)...))
	require.NoError(t, err)

	all := collect(t, responses)
	require.Len(t, all, len(bad)+len(good))

	for _, addr := range bad {
		_, err = all[addr].GetMessageOrError()
		require.ErrorContains(t, err, "panic: ")
	}

	for _, addr := range good {
		_, err = all[addr].GetMessageOrError()
		require.NoError(t, err)
	}
}

// Promise S1: such an address is an error of the stream that is to be opened.
func TestStream_APanickingAddressIsAnError(t *testing.T) {
	nodes, rpc := startAll(t, 1, echo, transport())

	for _, addr := range []mino.Address{
		(*session.Address)(nil),
		foreign{nodes[0].GetAddress(), "MarshalText"},
	} {
		_, _, err := rpc.Stream(withContext(t), mino.NewAddresses(addr))
		require.ErrorContains(t, err, "panic: ")
	}
}

// ownContext is a context of a type that is not that of the standard library. The nil one
// panics in all its methods.
type ownContext struct{ inner context.Context }

func (c *ownContext) Deadline() (time.Time, bool) { return c.inner.Deadline() }
func (c *ownContext) Done() <-chan struct{}       { return c.inner.Done() }
func (c *ownContext) Err() error                  { return c.inner.Err() }
func (c *ownContext) Value(key any) any           { return c.inner.Value(key) }

// Promise S1: what is no context is an error of the call, and of the stream.
func TestRPC_WhatIsNoContextIsAnError(t *testing.T) {
	nodes, rpc := startAll(t, 1, echo, transport())

	for name, c := range map[string]struct {
		ctx  context.Context
		text string
	}{
		"nil":       {nil, "no context"},
		"typed nil": {(*ownContext)(nil), "panic: "},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := rpc.Call(c.ctx, text("hello"), playersOf(nodes...))
			require.ErrorContains(t, err, c.text)

			_, _, err = rpc.Stream(c.ctx, playersOf(nodes...))
			require.ErrorContains(t, err, c.text)
		})
	}

	requireCall(t, rpc, nodes...)
}

// Promise S1: nor does Recv of either end of a stream panic without a context.
func TestRecv_WithoutAContextIsAnError(t *testing.T) {
	var none context.Context

	failure := make(chan error, 1)
	nodes, rpc := startAll(t, 1, handler{stream: func(_ mino.Sender, in mino.Receiver) error {
		_, _, err := in.Recv(none)
		failure <- err

		return nil
	}}, transport())

	_, in, err := rpc.Stream(withContext(t), playersOf(nodes...))
	require.NoError(t, err)
	require.ErrorContains(t, <-failure, "no context")

	_, _, err = in.Recv(none)
	require.ErrorContains(t, err, "no context")
}

// badPlayers panic in one of the methods, or have no iterator.
type badPlayers struct {
	mino.Players
	mino.AddressIterator

	method string
}

func (p badPlayers) panicIn(method string) {
	if p.method == method {
		panic(oops)
	}
}

func (p badPlayers) Len() int {
	p.panicIn("Len")

	return p.Players.Len()
}

func (p badPlayers) HasNext() bool {
	p.panicIn("HasNext")

	return true
}

func (p badPlayers) GetNext() mino.Address {
	p.panicIn("GetNext")

	return nil
}

// iterated returns the iterator of bad players. Embedding has taken the name.
type iterated struct{ badPlayers }

func (p iterated) AddressIterator() mino.AddressIterator {
	if p.method == "" {
		return nil
	}

	p.panicIn("AddressIterator")

	return p.badPlayers
}

// Promise S1: players that panic are an error of the call, and of the stream.
func TestRPC_PanickingPlayersAreAnError(t *testing.T) {
	nodes, rpc := startAll(t, 1, echo, transport())

	for _, method := range []string{"", "Len", "AddressIterator", "HasNext", "GetNext"} {
		t.Run(method, func(t *testing.T) {
			players := iterated{badPlayers{Players: playersOf(nodes...), method: method}}

			_, err := rpc.Call(t.Context(), text("hello"), players)
			require.ErrorContains(t, err, "panic: ")

			_, _, err = rpc.Stream(t.Context(), players)
			require.ErrorContains(t, err, "panic: ")
		})
	}
}

// unspeakable is what nobody can log or print without a panic.
type unspeakable struct{}

func (unspeakable) MarshalJSON() ([]byte, error) { panic(oops) }
func (unspeakable) Error() string                { panic(oops) }

// Promise S1: a handler may panic with, and return, what panics when it is looked at. It
// costs the stream.
func TestPanic_OfWhatAHandlerFailsWithCostsTheStream(t *testing.T) {
	for name, fail := range map[string]func() error{
		"panics":  func() error { panic(unspeakable{}) },
		"returns": func() error { return unspeakable{} },
	} {
		t.Run(name, func(t *testing.T) {
			nodes, rpc := startAll(t, 1, handler{
				process: echo.process,
				stream:  func(mino.Sender, mino.Receiver) error { return fail() },
			}, transport(), minogrpc.WithLogger(zerolog.New(t.Output())))

			_, in, err := rpc.Stream(withContext(t), playersOf(nodes...))
			require.NoError(t, err)
			_, _, err = in.Recv(t.Context())
			require.ErrorContains(t, err, "panic")
			requireCall(t, rpc, nodes...)
		})
	}
}

// madListener panics in one of its methods.
type madListener struct {
	net.Listener

	method string
	once   sync.Once
}

func (l *madListener) panicIn(method string) {
	if l.method == method {
		panic(oops)
	}
}

func (l *madListener) Accept() (net.Conn, error) {
	l.panicIn("Accept")

	return l.Listener.Accept()
}

func (l *madListener) Close() error {
	l.once.Do(func() { _ = l.Listener.Close() })
	l.panicIn("Close")

	return nil
}

// starved is a listener without a file descriptor for the next connections.
type starved struct {
	net.Listener

	failures, calls int
}

func (l *starved) Accept() (net.Conn, error) {
	l.calls++
	if l.calls <= l.failures {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}

	return l.Listener.Accept()
}

// Without file descriptors a node tells its operator, tries again after pauses that grow, and
// serves when there are some.
func TestListener_WithoutDescriptorsTellsAndTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := sessiontest.NewNetwork()
		t.Cleanup(network.Close)

		inner, err := network.Listen("a:1")
		require.NoError(t, err)

		var (
			mu   sync.Mutex
			told []error
		)

		listener := &starved{Listener: inner, failures: 12}
		node, err := minogrpc.NewMinogrpc(nil, &url.URL{Scheme: "grpc", Host: "a:1"},
			tree.NewRouter(minogrpc.NewAddressFactory()), minogrpc.NoTLS(), minogrpc.WithListener(listener),
			minogrpc.WithObserver(minogrpc.Observer{Refused: func(r minogrpc.Refusal) {
				assert.Nil(t, r.Peer)
				mu.Lock()
				defer mu.Unlock()

				told = append(told, r.Err)
			}}))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, node.Stop()) })
		mino.MustCreateRPC(node, rpcName, echo, texts{})

		time.Sleep(3 * time.Second) // of the bubble: gRPC's server pauses for up to a second
		synctest.Wait()

		mu.Lock() // The last pauses are not over yet.
		early := slices.Clone(told)
		mu.Unlock()

		require.GreaterOrEqual(t, len(early), 8)
		require.LessOrEqual(t, len(early), 12)
		require.ErrorContains(t, early[0], "too many open files: raise the limit of open files")

		caller := startIn(t, network, "grpc://b:1")
		rpc := mino.MustCreateRPC(caller, rpcName, echo, texts{})
		answers, err := rpc.Call(t.Context(), text("hello"), mino.NewAddresses(node.GetAddress()))
		require.NoError(t, err)

		answer, err := (<-answers).GetMessageOrError()
		require.NoError(t, err)
		require.Equal(t, text("hello"), answer)
	})
}

// Promise S1: a listener that panics costs its node what it listens for, and can be
// stopped.
func TestPanic_OfTheListenerCostsItsNode(t *testing.T) {
	for _, method := range []string{"Accept", "Close"} {
		t.Run(method, func(t *testing.T) {
			node, err := minogrpc.NewMinogrpc(nil, nil, tree.NewRouter(minogrpc.NewAddressFactory()),
				transport(), minogrpc.WithListener(&madListener{Listener: listen(t), method: method}))
			require.NoError(t, err)
			require.NoError(t, node.Stop())
		})
	}
}
