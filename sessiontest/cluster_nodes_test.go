package sessiontest_test

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
)

// talker is a node of an overlay that only connects, and says goodbye when it is stopped.
type talker struct {
	mino.Mino
	sessiontest.Place

	conns []net.Conn
	err   error
}

func (n *talker) Stop() error {
	for _, conn := range n.conns {
		_, _ = conn.Write([]byte("goodbye"))
		_ = conn.Close()
	}

	// A second Stop closes nothing.
	_ = n.Listener.Close()

	return n.err
}

// talkers returns two nodes, and the ends of two connections from the second to the first.
func talkers(t testing.TB, err error) (c *sessiontest.Nodes, ends []net.Conn) {
	t.Helper()

	c = sessiontest.Cluster(t, 2, sessiontest.WithNodes(func(p sessiontest.Place) (sessiontest.Node, error) {
		return &talker{Place: p, err: err}, nil
	}))
	first, second := c.Node(0).(*talker), c.Node(1).(*talker)

	for range 2 {
		conn, err := second.Dial(context.Background(), first.Host)
		require.NoError(t, err)

		second.conns = append(second.conns, conn)

		end, err := first.Listener.Accept()
		require.NoError(t, err)

		ends = append(ends, end)
	}

	return c, ends
}

// A dead process says nothing more, also not what its Stop would send.
func TestNodes_KilledNodeSaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ends := talkers(t, errors.New("nobody wants to know"))
		dead := c.Node(1).(*talker)

		c.Kill(1)
		synctest.Wait()

		for _, end := range ends {
			_, err := end.Read(make([]byte, 10))
			require.ErrorIs(t, err, syscall.ECONNRESET)
		}

		_, err := dead.Dial(t.Context(), "n0:1")
		require.ErrorIs(t, err, syscall.ECONNREFUSED)

		c.Restart(1)

		reborn := c.Node(1).(*talker)
		reborn.err = nil
		c.Node(0).(*talker).err = nil

		conn, err := reborn.Dial(t.Context(), "n0:1")
		require.NoError(t, err)
		require.NoError(t, conn.Close())
	})
}

// A node that the test stops itself says what it has to say.
func TestNodes_StoppedNodeSaysGoodbye(t *testing.T) {
	c, ends := talkers(t, nil)
	require.NoError(t, c.Node(1).Stop())

	said := make([]byte, 10)
	n, err := ends[0].Read(said)
	require.NoError(t, err)
	require.Equal(t, "goodbye", string(said[:n]))
}

func TestCluster_NodeThatDoesNotStopFailsTheTest(t *testing.T) {
	failures := judge(t, func(t testing.TB) {
		c, _ := talkers(t, errors.New("it does not end"))
		c.Kill(0)
	})
	require.Equal(t, []string{"stop node 1: it does not end"}, failures)
}
