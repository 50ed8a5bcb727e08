package worlds_test

import (
	"context"
	"io"
	"testing"
	"testing/synctest"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/serde/json"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
)

// Promise S3: the sender's session refuses a message above the limit, and nobody else pays for
// it.
func TestLimit_LargeMessageIsRefusedAtTheSender(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		peer := &sessiontest.Peer{}
		w.peer("b", peer)
		sess, _ := w.root(addr("a"), w.table(1, addr("a"), addr("b")), session.WithMaxMessageSize(10))

		errs := w.outcomes(sess.Send(fake.Message("01234567890"), addr("b")))
		require.Equal(t, session.ReasonRejected, errs[0].Reason)
		require.Empty(t, peer.Forwards())

		require.Empty(t, w.outcomes(sess.Send(fake.Message("0123456789"), addr("b"))))
		require.Len(t, peer.Forwards(), 1)
	})
}

// Promise S3: a session refuses a message above the limit that comes from a neighbour.
func TestLimit_LargeMessageIsRefusedAtTheReceiver(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, _ := w.root(addr("a"), w.table(1, addr("a")), session.WithMaxMessageSize(4))

		got := w.receive(sess, addr("b"), w.packet(addr("b"), addr("a")))
		require.Equal(t, map[string]ptypes.Reason{"FAa:1": ptypes.Reason_REASON_REJECTED}, got)
	})
}

// Promise S3: a session does not send metadata above the limit. The child counts as lost, and
// the nodes behind it are reached without it.
func TestLimit_LargeHandshakeIsRefusedBeforeItIsSent(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		peers := make(map[string]*sessiontest.Peer)
		names := []string{"b0", "b1", "b2", "b3", "b4", "b5", "b6", "b7", "b8", "b9"}

		for _, name := range names {
			peers[name] = &sessiontest.Peer{}
			w.peer(name, peers[name])
		}

		// The limit admits a handshake without addresses, but none with any.
		sess, _ := w.root(addr("a"), w.table(2, addr("a"), addrs(names...)...), session.WithMaxMetadata(300))

		errs := w.outcomes(sess.Send(fake.Message("hello"), addrs(names...)...))
		require.Len(t, errs, 5)

		for _, err := range errs {
			require.Equal(t, session.ReasonUnreachable, err.Reason)
			require.ErrorContains(t, err, "metadata of ")
		}

		reached := 0
		for _, peer := range peers {
			reached += len(peer.Forwards())
		}

		require.Equal(t, 5, reached)
	})
}

// Promise M3: the queues and outboxes of several sessions share a budget. Reading, settling and
// closing free it again.
func TestLimit_MemoryBudgetIsShared(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		stuck := make(chan struct{})
		w.peer("b", &sessiontest.Peer{OnForward: func(ctx context.Context, _ *ptypes.Packet) (*ptypes.Ack, error) {
			select {
			case <-stuck:
			case <-ctx.Done():
			}

			return &ptypes.Ack{}, nil
		}})

		tableA, tableC := w.table(1, addr("a"), addr("b")), w.table(1, addr("c"))
		tables := tableA.(router.Weighted).Weight() + tableC.(router.Weighted).Weight()

		budget := session.NewMemoryBudgetWithShare(1600+tables, 1600+tables)
		first, _ := w.root(addr("a"), tableA, session.WithMemoryBudget(budget))
		second, _ := w.root(addr("c"), tableC, session.WithMemoryBudget(budget))

		require.Equal(t, tables, budget.Used())

		require.Empty(t, w.outcomes(second.Send(fake.Message(make([]byte, 500)), addr("c"))))

		held := budget.Used()
		require.Greater(t, held, 500+250)

		waiting := first.Send(fake.Message(make([]byte, 400)), addr("b"))

		synctest.Wait()
		require.Greater(t, budget.Used(), held+400+250)

		for _, send := range []<-chan error{
			first.Send(fake.Message(make([]byte, 100)), addr("b")),
			first.Send(fake.Message(make([]byte, 100)), addr("a")),
			second.Send(fake.Message(make([]byte, 100)), addr("c")),
		} {
			errs := w.outcomes(send)
			require.Len(t, errs, 1)
			require.Equal(t, session.ReasonOverflow, errs[0].Reason)
			require.ErrorIs(t, errs[0], session.ErrMemory)
		}

		close(stuck)
		require.Empty(t, w.outcomes(waiting))
		require.Equal(t, held, budget.Used())

		w.recv(second)
		require.Equal(t, tables, budget.Used())

		require.Empty(t, w.outcomes(second.Send(fake.Message(make([]byte, 500)), addr("c"))))
		require.Equal(t, held, budget.Used())

		// What nobody reads any more leaves the budget at once, though the session goes on.
		second.(session.Lifecycle).CloseRecv()
		require.Equal(t, tables, budget.Used())
		second.Close()
		first.Close()
		require.Zero(t, budget.Used())
	})
}

// Promise M3: a peer takes its share of the memory of a node, over all sessions and whatever it
// calls itself, and the others still have theirs. What is read is theirs again.
func TestLimit_PeerHasAShareOfTheMemory(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		const size = 1000 + 250 + len("FAb:1") + len("FAa:1")

		table := w.table(1, addr("a"), addrs("b", "c")...)
		tables := 2 * table.(router.Weighted).Weight()

		budget := session.NewMemoryBudgetWithShare(10*size, 3*size)
		first, _ := w.root(addr("a"), table, session.WithMemoryBudget(budget))
		second, _ := w.root(addr("a"), table, session.WithMemoryBudget(budget))

		send := func(sess session.Session, from string) []*ptypes.Failure {
			packet := w.table(1, addr(from)).Make(addr(from), addrs("a"), make([]byte, 1000))
			data, err := packet.Serialize(json.NewContext())
			require.NoError(t, err)

			ack, err := sess.RecvPacket(addr(from), &ptypes.Packet{Serialized: data})
			require.NoError(t, err)

			return ack.GetFailures()
		}

		for range 2 {
			require.Empty(t, send(first, "b"))
		}

		require.Empty(t, send(second, "b"))

		for _, sess := range []session.Session{first, second} {
			require.Equal(t, ptypes.Reason_REASON_OVERFLOW, send(sess, "b")[0].GetReason())
		}

		require.Empty(t, send(first, "c"))
		require.Equal(t, tables+4*size, budget.Used())

		w.recv(first)
		require.Empty(t, send(second, "b"))

		first.Close()
		second.Close()
		require.Zero(t, budget.Used())
	})
}

// Promises M3, S3: a routing table counts for the memory of its parent as long as that is one. One
// that does not fit makes nobody a parent.
func TestLimit_RoutingTableIsCharged(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		table := w.table(1, addr("a"), addrs("b", "c", "d")...)
		weight := table.(router.Weighted).Weight()
		require.Greater(t, weight, 3*100)

		budget := session.NewMemoryBudgetWithShare(10*weight, 2*weight-1)
		first, _ := w.root(addr("a"), table, session.WithMemoryBudget(budget))
		require.Equal(t, weight, budget.Used())

		// The parent of both is the same peer.
		second := w.session(addr("a"), session.WithMemoryBudget(budget))
		parent := fake.NewRelay(session.NewOrchestratorAddress(addr("orchestrator")), nil)
		w.cleanup = append(w.cleanup, func() { parent.End(io.EOF) })

		_, err := second.(session.Registrar).Register(parent, table)
		require.ErrorIs(t, err, session.ErrMemory)
		require.Equal(t, weight, budget.Used())

		first.Close()
		require.Zero(t, budget.Used())

		_, err = second.(session.Registrar).Register(parent, table)
		require.NoError(t, err)
		require.Equal(t, weight, budget.Used())

		second.Close()
		require.Zero(t, budget.Used())
	})
}
