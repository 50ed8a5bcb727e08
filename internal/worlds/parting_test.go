package worlds_test

import (
	"testing"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Promises O1, M3: a relay that is used after the loss of its link and before its end says so
// at once. Its packets stop counting against the budget.
func TestDuplexRelay_SendWhileTheLinkParts(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var (
			relay *session.DuplexRelay
			lost  bool
			err   error
		)

		budget := session.NewMemoryBudget(1 << 20)
		table := w.table(1, addr("a"))
		sess := w.session(addr("a"), session.WithMemoryBudget(budget), session.WithObserver(session.Observer{
			RelayLost: func(session.StreamInfo, mino.Address, error) {
				if lost {
					return // The grace is over, and nobody has come back.
				}

				lost = true
				packet := table.Make(addr("a"), addrs("b"), []byte("late"))
				_, err = relay.Send(t.Context(), packet)
			},
		}))

		stream := fake.NewStream(nil)
		offer := "duplex-1;id=000102030405060708090a0b0c0d0e0f;epoch=1;received=0;frame=262144;format=tree1"
		relay, _ = session.AcceptRelay(stream, addr("p"), metadata.Pairs(session.LinkKey, offer))

		ready, over := make(chan struct{}), make(chan struct{})

		go func() {
			defer close(over)

			sess.Listen(relay, table, ready)
		}()

		<-ready
		// A link does not go on after an error of the protocol.
		stream.Feed(&ptypes.Packet{Frame: 7})
		<-over

		require.True(t, lost)
		require.Equal(t, codes.Unavailable, status.Code(err))
		require.Zero(t, budget.Used())
		stream.End(nil)
	})
}
