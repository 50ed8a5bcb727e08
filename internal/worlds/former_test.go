package worlds_test

import (
	"io"
	"testing"
	"testing/synctest"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/serde/json"
	"github.com/stretchr/testify/require"
)

// replacing is a connection manager whose owner registers another parent during Evict, which
// the session calls while it is losing a neighbour.
type replacing struct {
	session.ConnectionManager

	replace func()
}

func (r *replacing) Evict(mino.Address) { r.replace() }

// counting is a table that counts the lost neighbours it is told about.
type counting struct {
	router.RoutingTable

	failures int
}

func (c *counting) OnFailure(to mino.Address) error {
	c.failures++

	return c.RoutingTable.OnFailure(to)
}

// Promise L3: a session tells its tables only about lost children. When the link of a parent is
// lost while a new link replaces it, nobody is lost: the parent is still there.
func TestFormerParent_ItsLossIsNotThatOfAChild(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var lost []mino.Address

		conns := &replacing{ConnectionManager: session.NewConnManager()}
		me := session.NewOrchestratorAddress(addr("o"))
		sess := session.NewSession(nil, me, fake.MessageFactory{}, routerOf(3).GetPacketFactory(), json.NewContext(),
			conns, session.WithObserver(session.Observer{
				RelayLost: func(peer mino.Address, _ error) { lost = append(lost, peer) },
			}))
		table := &counting{RoutingTable: w.table(3, me)}
		root, relay, _ := w.dialled(true)
		before := make(chan struct{})

		w.cleanup = append(w.cleanup, func() {
			sess.Close()
			<-sess.(session.Lifecycle).Done()
		})

		conns.replace = func() {
			w.listen(sess, fake.NewRelay(addr("root"), nil), table)
		}

		go func() {
			defer close(before)

			sess.Listen(relay, table, nil)
		}()

		<-before // The root stays silent, so the session loses it.
		synctest.Wait()

		require.Equal(t, 1, sess.GetNumParents())
		require.Empty(t, lost)
		require.Zero(t, table.failures)

		root.current().End(io.EOF)
	})
}
