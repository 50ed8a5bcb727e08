package minogrpc_test

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
)

// chain is an orchestrator and the smallest tree of players in which a child of the root has a child
// of its own. The handlers echo.
type chain struct {
	*testing.T

	network *sessiontest.Network
	nodes   []*minogrpc.Minogrpc
	out     mino.Sender
	in      mino.Receiver
}

// The nodes of a chain.
const (
	chainTop   = 0
	chainRoot  = 1
	chainInner = 6
	chainLeaf  = 7
)

// inChain runs a test in virtual time.
func inChain(t *testing.T, opts []minogrpc.Option, test func(c *chain)) {
	t.Helper()

	synctest.Test(t, func(t *testing.T) {
		c := &chain{T: t, network: sessiontest.NewNetwork()}
		c.nodes = make([]*minogrpc.Minogrpc, chainLeaf+1)

		var rpc mino.RPC

		for i := range c.nodes {
			c.nodes[i] = ofHeight(t, c.network, 3, i, opts...)

			r := mino.MustCreateRPC(c.nodes[i], rpcName, echo, texts{})
			if i == chainTop {
				rpc = r
			}
		}

		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()

		var err error

		c.out, c.in, err = rpc.Stream(ctx, playersOf(c.nodes[chainRoot:]...))
		require.NoError(t, err)

		c.echo("begin")
		test(c)
	})
}

// echo sends a message to all the players, and waits for the answers.
func (c *chain) echo(msg string) {
	c.Helper()

	requireDelivered(c.T, c.out.Send(text(msg), addressesOf(c.nodes[chainRoot:]...)...))
	c.answers(msg, len(c.nodes)-1)
}

func (c *chain) answers(msg string, count int) {
	c.Helper()

	for range count {
		ctx, cancel := context.WithTimeout(c.Context(), time.Minute)
		_, got, err := c.in.Recv(ctx)

		cancel()
		require.NoError(c, err)
		require.Equal(c, text(msg), got)
	}
}

// pairOf is two nodes of a chain, the one above first.
type pairOf struct{ above, below int }

// Promises L1, L5: nothing is lost by silence that is shorter than the bound, in either direction,
// and the RPC goes on. Between players that holds up to the end of the patience, which follows the
// moment at which one of them notices.
func TestOutage_OneWayIsNoLoss(t *testing.T) {
	for _, tc := range []struct {
		pairOf

		most time.Duration
	}{
		{pairOf{chainTop, chainRoot}, 9500 * time.Millisecond},
		{pairOf{chainRoot, chainInner}, 8 * time.Second},
		{pairOf{chainInner, chainLeaf}, 8 * time.Second},
	} {
		for _, down := range []bool{true, false} {
			for lasts := time.Second; lasts <= tc.most; lasts += 500 * time.Millisecond {
				t.Run(fmt.Sprintf("%v down %v for %v", tc.pairOf, down, lasts), func(t *testing.T) {
					inChain(t, nil, func(c *chain) {
						from, to := tc.above, tc.below
						if !down {
							from, to = to, from
						}

						c.network.Freeze(hostOf(from), hostOf(to))
						time.AfterFunc(lasts, func() { c.network.Heal(hostOf(from), hostOf(to)) })

						start := time.Now()

						var sent []<-chan error

						for time.Since(start) < lasts+5*time.Second {
							sent = append(sent, c.out.Send(text("during"), addressesOf(c.nodes[chainRoot:]...)...))

							time.Sleep(500 * time.Millisecond)
						}

						for _, outcomes := range sent {
							requireDelivered(t, outcomes)
						}

						c.answers("during", (len(c.nodes)-1)*len(sent))
						c.echo("end")
					})
				})
			}
		}
	}
}

// Promise L5: a link that has broken goes on when the other end can be reached again in time. A
// connection that is refused costs nothing until then.
func TestOutage_RefusedDialsAreNoLoss(t *testing.T) {
	for _, tc := range []struct {
		pairOf

		lasts []int
	}{
		{pairOf{chainTop, chainRoot}, []int{300, 700, 1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000}},
		{pairOf{chainRoot, chainInner}, []int{300, 500, 700, 1000, 1200, 1400}},
		{pairOf{chainInner, chainLeaf}, []int{300, 500, 700, 1000, 1200, 1400}},
	} {
		if tc.above != chainTop && *linksFlag != duplexLinks {
			continue // What is refused there in a call is lost with the neighbour.
		}

		for _, ms := range tc.lasts {
			lasts := time.Duration(ms) * time.Millisecond

			t.Run(fmt.Sprintf("%v for %v", tc.pairOf, lasts), func(t *testing.T) {
				inChain(t, nil, func(c *chain) {
					c.network.Cut(hostOf(tc.above), hostOf(tc.below))
					time.AfterFunc(lasts, func() { c.network.Heal(hostOf(tc.above), hostOf(tc.below)) })

					start := time.Now()

					c.echo("during")
					// The pauses between the attempts are no longer than half a second.
					require.LessOrEqual(t, time.Since(start), lasts+500*time.Millisecond)
				})
			})
		}
	}
}

// Promise L5: both ends of a link that has broken and goes on tell their observers so, with the real
// cause, and neither takes the other for lost.
func TestOutage_ResumedBreakIsToldAtBothEnds(t *testing.T) {
	if *linksFlag != duplexLinks {
		return // A link without frames has nothing to resume.
	}

	var (
		mu     sync.Mutex
		told   []string
		causes []error
	)

	// The ends of a link are told apart by whom they see.
	note := func(what string, peer mino.Address, cause error) {
		mu.Lock()
		defer mu.Unlock()

		told = append(told, what+" "+session.FollowerOf(peer).String())

		if cause != nil {
			causes = append(causes, cause)
		}
	}
	observer := session.WithObserver(session.Observer{
		RelayBroken:  func(_ session.StreamInfo, peer mino.Address, cause error) { note("broken", peer, cause) },
		RelayResumed: func(_ session.StreamInfo, peer mino.Address) { note("resumed", peer, nil) },
		RelayLost:    func(_ session.StreamInfo, peer mino.Address, cause error) { note("lost", peer, cause) },
	})

	inChain(t, []minogrpc.Option{minogrpc.WithSessionOptions(observer)}, func(c *chain) {
		c.network.Cut(hostOf(chainRoot), hostOf(chainInner))
		time.AfterFunc(time.Second, func() { c.network.Heal(hostOf(chainRoot), hostOf(chainInner)) })
		c.echo("during")
		synctest.Wait()

		mu.Lock()
		defer mu.Unlock()

		root, inner := c.nodes[chainRoot].GetAddress().String(), c.nodes[chainInner].GetAddress().String()
		require.ElementsMatch(t, []string{
			"broken " + root, "broken " + inner, "resumed " + root, "resumed " + inner,
		}, told)

		for _, cause := range causes {
			require.ErrorContains(t, cause, syscall.ECONNRESET.Error())
		}
	})
}

// Promise L2: the set-up of the first stream takes no longer than the option says.
func TestStream_SetupTimeoutIsThatOfTheOption(t *testing.T) {
	const setup = 3 * time.Second

	synctest.Test(t, func(t *testing.T) {
		network := sessiontest.NewNetwork()
		node := ofHeight(t, network, 3, 0, minogrpc.WithSessionOptions(session.WithSetupTimeout(setup)))
		rpc := mino.MustCreateRPC(node, rpcName, echo, texts{})
		root := ofHeight(t, network, 3, 1)
		network.Freeze(hostOf(0), hostOf(1))

		start := time.Now()
		_, _, err := rpc.Stream(t.Context(), playersOf(root))
		require.ErrorContains(t, err, "did not answer in time")
		require.Equal(t, setup, time.Since(start))
	})
}
