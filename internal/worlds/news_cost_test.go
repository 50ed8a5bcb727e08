package worlds_test

import (
	"testing"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/serde/json"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/metadata"
)

// Promise P2: a stream whose orchestrator asks for no news pays nothing for them, and one whose
// orchestrator does pays nothing for messages between players.
func TestNews_CostNothingUnlessAskedFor(t *testing.T) {
	allocations := func(pairs ...string) float64 {
		me := addr("a")
		sess := session.NewSession(metadata.Pairs(append(pairs, "apiuri", "test", "streamid", "1")...), me,
			fake.MessageFactory{}, routerOf(3).GetPacketFactory(), json.NewContext(), session.NewConnManager())

		defer sess.Close()

		table, err := routerOf(3).New(mino.NewAddresses(me), me)
		require.NoError(t, err)
		sess.SetPassive(fake.NewRelay(orchestratorOf(addr("o")), nil), table)

		return testing.AllocsPerRun(1_000, func() {
			for err := range sess.Send(fake.Message("hello"), me) {
				require.NoError(t, err)
			}

			_, _, err := sess.Recv(t.Context())
			require.NoError(t, err)
		})
	}

	// It was 13 before there were any news.
	without := allocations()
	require.LessOrEqual(t, without, 13.0)
	require.LessOrEqual(t, allocations("session-news", "1", "session-orchestrator", "FAo:1"), without)
}
