package protocol_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/protocol"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
)

// Players may ask one another in the stream that asks them: each adds up the numbers of the others.
func TestStream_PlayersAskOneAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sessiontest.Cluster(t, 4)
		addrs := c.Addresses()

		var proc *protocol.Procedure[string, int]

		for i := range addrs {
			play := func(ctx context.Context, s *protocol.Stream[string, int]) error {
				for in, err := range s.Requests(ctx) {
					if err != nil {
						return err
					}

					if in.Value == "own" {
						require.NoError(t, in.Reply(ctx, i))

						continue
					}

					go func() {
						sum := i
						for _, r := range s.Gather(ctx, "own", addrs[(i+1)%4], addrs[(i+2)%4], addrs[(i+3)%4]) {
							sum += r.Value
						}

						_ = in.Reply(ctx, sum)
					}()
				}

				return nil
			}

			p, err := protocol.Define(c.Node(i), "sum", play)
			require.NoError(t, err)

			proc = p
		}

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()

		sums, err := protocol.Quorum(proc.Gather(ctx, "sum", c.Players()), 4, func(_ mino.Address, n int) error {
			require.Equal(t, 6, n)

			return nil
		})
		require.NoError(t, err)
		require.Len(t, sums, 4)
	})
}

// Promise L7, P2: when the first player cannot be opened, another is the root, and the first alone has no answer.
func TestGather_AnotherPlayerIsTheRoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var proc *protocol.Procedure[int, int]

		double := protocol.Answer(func(_ context.Context, n int) (int, error) { return 2 * n, nil })
		c := sessiontest.Cluster(t, 4, sessiontest.WithSetup(func(_ int, node mino.Mino) (err error) {
			proc, err = protocol.Define(node, "double", double, protocol.WithRootFallback(1))

			return err
		}))
		c.Isolate(0)

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()

		answers := 0

		for addr, r := range proc.Gather(ctx, 3, c.Players()) {
			if addr != c.Address(0) {
				require.NoError(t, r.Err)
				require.Equal(t, 6, r.Value)

				answers++

				continue
			}

			var why *protocol.PlayerError
			require.ErrorAs(t, r.Err, &why)
			require.Contains(t, []protocol.Reason{protocol.ReasonUndelivered, protocol.ReasonLost}, why.Reason)
			require.Less(t, r.Latency, session.DefaultLiveness)
		}

		require.Equal(t, 3, answers)
	})
}
