package worlds_test

import (
	"testing"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
	"github.com/stretchr/testify/require"
)

// What others send to a node under another spelling of its address is for that node. The table
// may know that spelling as a player below, or not at all.
func TestSpelling_NodeIsReachedUnderAllOfThem(t *testing.T) {
	for _, spelt := range []string{"A:1", "a:01", "a.:1", "A.:0001"} {
		for name, players := range map[string][]mino.Address{
			"not a player": addrs("b"),
			"a player":     {addr("b"), session.NewAddress("grpc://" + spelt)},
		} {
			t.Run(spelt+" "+name, func(t *testing.T) {
				inWorld(t, func(t *testing.T, w *world) {
					table := w.table(1, addr("a"), players...)
					sess, _ := w.root(addr("a"), table)
					to := session.NewAddress("grpc://" + spelt)

					ack, err := sess.RecvPacket(orchestratorAddr(), w.packet(orchestratorAddr(), to))
					require.NoError(t, err)
					require.Empty(t, ack.GetErrors())

					_, msg := w.recv(sess)
					require.Equal(t, fake.Message("hello"), msg)

					// And what it sends to itself.
					require.Empty(t, w.outcomes(sess.Send(fake.Message("mine"), to)))
					_, msg = w.recv(sess)
					require.Equal(t, fake.Message("mine"), msg)
				})
			})
		}
	}
}

// Promise S2: an orchestrator takes what its players have sent, whoever brings it, and nothing
// else. How a player spells its own address does not matter.
func TestSources_OrchestratorRefusesWhoIsNoPlayer(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		me := session.NewOrchestratorAddress(addr("o"))
		sess := w.session(me, session.WithSources(addr("root"), addr("b"), session.NewAddress("C:01")))
		w.listen(sess, fake.NewRelay(addr("root"), nil), w.table(1, me))

		for source, taken := range map[mino.Address]bool{
			addr("root"):                      true,
			addr("b"):                         true,
			session.NewAddress("B.:1"):        true,
			session.NewAddress("https://b:1"): true,
			addr("c"):                         true,
			addr("d"):                         false,
			addr("o"):                         false,
			me:                                false,
			session.NewOrchestratorAddress(addr("b")): false,
		} {
			_, err := sess.RecvPacket(addr("root"), w.packet(source, me))
			if taken {
				require.NoError(t, err, "%v", source)
			} else {
				require.ErrorIs(t, err, session.ErrSource, "%v", source)
			}
		}
	})
}

// A handler can be told who its parent is.
func TestParent_IsTheOneInUse(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess := w.session(addr("a"))
		parent := sess.(session.Ancestry).Parent
		require.Nil(t, parent())

		w.parent(sess, addr("p"), w.table(1, addr("a")))
		require.Equal(t, addr("p"), parent())

		w.listen(sess, fake.NewRelay(orchestratorAddr(), nil), w.table(1, addr("a")))
		require.Equal(t, orchestratorAddr(), parent())

		sess.Close()
		require.Nil(t, parent())
	})
}
