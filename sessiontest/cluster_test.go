package sessiontest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/router/tree"
	"github.com/minogrpc/session/serde"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
)

// text is a message and its factory.
type text string

func (t text) Serialize(serde.Context) ([]byte, error) { return []byte(t), nil }

func (text) Deserialize(_ serde.Context, data []byte) (serde.Message, error) { return text(data), nil }

// repeater answers every message until the stream ends.
type repeater struct{ mino.UnsupportedHandler }

func (repeater) Stream(out mino.Sender, in mino.Receiver) error {
	for {
		from, msg, err := in.Recv(context.Background())
		if errors.Is(err, io.EOF) {
			return nil
		}

		if err != nil {
			return err
		}

		out.Send(msg, from)
	}
}

// withEcho gives each node of a cluster the same procedure.
func withEcho() sessiontest.ClusterOption {
	return sessiontest.WithRPC("echo", repeater{}, text(""))
}

// players is a stream from the first node of a cluster to all of them.
type players struct {
	*sessiontest.Nodes

	t   *testing.T
	out mino.Sender
	in  mino.Receiver
}

// play runs a test in a bubble, with a stream to n nodes all of which have answered once.
func play(t *testing.T, n int, test func(p *players), opts ...sessiontest.ClusterOption) {
	t.Helper()

	synctest.Test(t, func(t *testing.T) {
		c := sessiontest.Cluster(t, n, append(opts, withEcho())...)
		out, in, err := c.RPC(0, "echo").Stream(t.Context(), c.Players())
		require.NoError(t, err)

		p := &players{Nodes: c, t: t, out: out, in: in}
		for i := range n {
			p.requireEcho(i, 0)
		}

		test(p)
	})
}

// requireEcho asks a node, whose answer takes so long.
func (p *players) requireEcho(i int, took time.Duration) {
	p.t.Helper()

	begin := time.Now()

	require.NoError(p.t, p.send(i))
	from, msg, err := p.in.Recv(p.t.Context())
	require.NoError(p.t, err)
	require.Equal(p.t, text("hello"), msg)
	require.Equal(p.t, session.KeyOf(p.Address(i)), session.KeyOf(from))
	require.Equal(p.t, took, time.Since(begin))
}

// send sends a message to a node, and returns the outcome.
func (p *players) send(i int) error {
	return <-p.out.Send(text("hello"), p.Address(i))
}

// requireLost checks that a message to a node does not arrive. The loss is heard before it is sent:
// otherwise the message would be in doubt.
func (p *players) requireLost(i int) {
	p.t.Helper()
	synctest.Wait()

	failure, ok := errors.AsType[*session.DeliveryError](p.send(i))
	require.True(p.t, ok)
	require.Equal(p.t, session.ReasonUnreachable, failure.Reason, failure)
}

// requireBack checks that a node is reached again when the pause of the router is over.
func (p *players) requireBack(i int) {
	p.t.Helper()

	time.Sleep(2 * tree.DefaultRetryAfter)
	p.requireEcho(i, 0)
}

func TestCluster_RunsInABubbleAndOutside(t *testing.T) {
	play(t, 7, func(p *players) {
		require.Equal(t, 7, p.Len())
		require.Equal(t, "grpc://n6:1", p.Address(6).String())
		require.Equal(t, 7, p.Players().Len())
	})

	c := sessiontest.Cluster(t, 3, withEcho())
	out, in, err := c.RPC(1, "echo").Stream(t.Context(), c.Players())
	require.NoError(t, err)

	for err := range out.Send(text("hello"), c.Addresses()...) {
		require.NoError(t, err)
	}

	for range 3 {
		_, _, err := in.Recv(t.Context())
		require.NoError(t, err)
	}
}

func TestCluster_LeavesNothingBehind(t *testing.T) {
	var network *sessiontest.Network

	play(t, 2, func(p *players) { network = p.Network() })
	require.Zero(t, network.Connections())
}

func TestNodes_IsolateCutsANodeOff(t *testing.T) {
	play(t, 3, func(p *players) {
		p.Isolate(1)
		p.requireLost(1)
		p.requireEcho(2, 0)

		p.Heal(1)
		p.requireBack(1)
	})
}

func TestNodes_SlowDelaysBothDirections(t *testing.T) {
	play(t, 3, func(p *players) {
		p.Slow(2, 50*time.Millisecond)
		p.requireEcho(2, 100*time.Millisecond)
		p.requireEcho(1, 0)

		p.Slow(2, 0)
		time.Sleep(time.Second) // Nothing overtakes what was under way.
		p.requireEcho(2, 0)
	})
}

func TestNodes_FreezeIsSilence(t *testing.T) {
	play(t, 3, func(p *players) {
		p.Freeze(2)
		time.AfterFunc(time.Second, func() { p.Heal(2) })
		p.requireEcho(2, time.Second)

		p.Freeze(2)

		begin := time.Now()
		require.Error(t, p.send(2))
		require.Greater(t, time.Since(begin), session.DefaultLiveness/2, "nobody is told")
	})
}

func TestNodes_KillEndsANodeForAll(t *testing.T) {
	play(t, 3, func(p *players) {
		begin := time.Now()

		p.Kill(2)
		p.Kill(2)
		require.Zero(t, time.Since(begin))
		p.requireLost(2)
		p.requireEcho(1, 0)

		p.Heal(2)
		time.Sleep(2 * tree.DefaultRetryAfter)
		p.requireLost(2)
	})
}

func TestNodes_RestartIsANewNodeAtTheSameAddress(t *testing.T) {
	var setUp []int

	play(t, 3, func(p *players) {
		before, addr := p.Node(2), p.Address(2)

		p.Kill(2)
		p.requireLost(2)
		p.Restart(2)
		require.NotSame(t, before, p.Node(2))
		require.Equal(t, addr, p.Address(2))
		p.requireBack(2)

		p.Restart(1) // It lives.
		p.requireBack(1)
		require.Equal(t, []int{0, 1, 2, 2, 1}, setUp)
	}, sessiontest.WithSetup(func(i int, node mino.Mino) error {
		setUp = append(setUp, i)
		_, err := node.CreateRPC("another", repeater{}, text(""))

		return err
	}))
}

// A node that was isolated when it died is so when it lives again.
func TestNodes_RestartDoesNotHeal(t *testing.T) {
	play(t, 3, func(p *players) {
		p.Isolate(2)
		p.Restart(2)
		p.requireLost(2)

		p.Heal(2)
		p.requireBack(2)
	})
}

// What a node has of its own goes on when the other end of a link is healed.
func TestNodes_FaultsAddUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sessiontest.Cluster(t, 4)
		dial := func(from, to int) (time.Duration, error) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()

			begin := time.Now()
			conn, err := c.Network().Dialer(fmt.Sprintf("n%d:1", from))(ctx, fmt.Sprintf("n%d:1", to))
			if err == nil {
				require.NoError(t, conn.Close())
			}

			return time.Since(begin), err
		}

		c.Isolate(1)
		c.Freeze(2)
		c.Slow(2, time.Second)
		c.Slow(3, time.Second)
		c.Heal(3)

		_, err := dial(1, 3)
		require.ErrorContains(t, err, "refused")
		_, err = dial(3, 2)
		require.ErrorIs(t, err, context.DeadlineExceeded)

		c.Heal(1)

		_, err = dial(1, 3)
		require.NoError(t, err)
		_, err = dial(2, 1)
		require.ErrorIs(t, err, context.DeadlineExceeded, "the freeze has not been lost")

		c.Slow(3, time.Second)
		c.Heal(2)

		took, err := dial(3, 2)
		require.NoError(t, err)
		require.Equal(t, 2*time.Second, took)
		c.Slow(2, time.Second)

		took, err = dial(3, 2)
		require.NoError(t, err)
		require.Equal(t, 4*time.Second, took)
	})
}

func TestCluster_TakesAnotherRouterAndOptions(t *testing.T) {
	asked := 0

	play(t, 3, func(*players) { require.Equal(t, 3, asked) },
		sessiontest.WithRouter(func(f mino.AddressFactory) router.Router {
			asked++

			return tree.NewRouter(f, tree.WithHeight(1))
		}))

	synctest.Test(t, func(t *testing.T) {
		c := sessiontest.Cluster(t, 1, sessiontest.WithMinogrpc(minogrpc.WithStreamLimits(1, 1)), withEcho())

		_, _, err := c.RPC(0, "echo").Stream(t.Context(), c.Players())
		require.NoError(t, err)
		_, _, err = c.RPC(0, "echo").Stream(t.Context(), c.Players())
		require.ErrorContains(t, err, "more than 1 streams")
	})
}

// verdict is a test whose failures are noted instead.
type verdict struct {
	*testing.T

	failures []string
	cleanups []func()
}

func (v *verdict) Cleanup(f func()) { v.cleanups = append(v.cleanups, f) }

func (v *verdict) Errorf(format string, args ...any) {
	v.failures = append(v.failures, fmt.Sprintf(format, args...))
}

func (v *verdict) Fatalf(format string, args ...any) {
	v.Errorf(format, args...)
	runtime.Goexit()
}

// judge returns what a test fails with.
func judge(t *testing.T, test func(t testing.TB)) []string {
	t.Helper()

	v, done := &verdict{T: t}, make(chan struct{})

	go func() {
		defer close(done)
		defer func() {
			for _, f := range v.cleanups {
				f()
			}
		}()

		test(v)
	}()

	<-done

	return v.failures
}

func TestCluster_FailsTheTest(t *testing.T) {
	wrong := errors.New("this went wrong")

	require.Equal(t, []string{"set up node 1: this went wrong"}, judge(t, func(t testing.TB) {
		sessiontest.Cluster(t, 3, sessiontest.WithSetup(func(i int, _ mino.Mino) error {
			if i == 1 {
				return wrong
			}

			return nil
		}))
		t.Errorf("the test goes on")
	}))

	require.Equal(t, []string{"start node 0: this went wrong"}, judge(t, func(t testing.TB) {
		sessiontest.Cluster(t, 3, sessiontest.WithNodes(func(sessiontest.Place) (sessiontest.Node, error) {
			return nil, wrong
		}))
	}))

	require.Equal(t, []string{`node 0 has no procedure "none": WithRPC creates one`}, judge(t, func(t testing.TB) {
		sessiontest.Cluster(t, 1).RPC(0, "none")
	}))

	failures := judge(t, func(t testing.TB) { sessiontest.Cluster(t, 1, withEcho(), withEcho()) })
	require.Len(t, failures, 1)
	require.Contains(t, failures[0], `create procedure "echo" of node 0: `)
}
