package minogrpc_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/stretchr/testify/require"
)

// Promise P3: the observer of a node is told of connections, of dials that fail, and of handlers.
func TestObserver_IsToldOfConnectionsAndHandlers(t *testing.T) {
	type end struct {
		stream session.StreamInfo
		err    error
	}

	accepted, failed := make(chan net.Addr, 100), make(chan string, 100)
	started, ended := make(chan session.StreamInfo, 100), make(chan end, 100)

	player := start(t, minogrpc.NoTLS(), minogrpc.WithObserver(minogrpc.Observer{
		Accepted:       func(peer net.Addr) { accepted <- peer },
		HandlerStarted: func(s session.StreamInfo) { started <- s },
		HandlerEnded:   func(s session.StreamInfo, err error, _ time.Duration) { ended <- end{s, err} },
	}))
	orchestrator := start(t, minogrpc.NoTLS(), minogrpc.WithObserver(minogrpc.Observer{
		DialFailed: func(hostport string, _ error) { failed <- hostport },
	}))

	_, err := player.CreateRPC("idle", idle{}, fake.MessageFactory{})
	require.NoError(t, err)
	rpc, err := orchestrator.CreateRPC("idle", mino.UnsupportedHandler{}, fake.MessageFactory{})
	require.NoError(t, err)

	ctx, cancel := context.WithCancel(t.Context())
	_, _, err = rpc.Stream(ctx, mino.NewAddresses(player.GetAddress()))
	require.NoError(t, err)

	require.Equal(t, "127.0.0.1", (<-accepted).(*net.TCPAddr).IP.String())

	begun := <-started
	require.Equal(t, "idle", begun.Procedure)
	require.Equal(t, player.GetAddress(), begun.Node)

	cancel()
	require.Equal(t, begun, (<-ended).stream)

	gone := player.GetAddress().(session.Address).GetDialAddress()
	require.NoError(t, player.Stop())

	_, _, err = rpc.Stream(t.Context(), mino.NewAddresses(player.GetAddress()))
	require.Error(t, err)
	require.Equal(t, gone, <-failed)
}
