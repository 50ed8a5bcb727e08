package worlds_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/ptypes"
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

		budget := session.NewMemoryBudget(1000)
		first, _ := w.root(addr("a"), w.table(1, addr("a"), addr("b")), session.WithMemoryBudget(budget))
		second, _ := w.root(addr("c"), w.table(1, addr("c")), session.WithMemoryBudget(budget))

		require.Empty(t, w.outcomes(second.Send(fake.Message(make([]byte, 500)), addr("c"))))
		require.Equal(t, 500, budget.Used())

		waiting := first.Send(fake.Message(make([]byte, 400)), addr("b"))

		synctest.Wait()
		require.Greater(t, budget.Used(), 900)

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
		require.Equal(t, 500, budget.Used())

		w.recv(second)
		require.Zero(t, budget.Used())

		require.Empty(t, w.outcomes(second.Send(fake.Message(make([]byte, 500)), addr("c"))))
		second.(session.Lifecycle).CloseRecv()
		require.Equal(t, 500, budget.Used())
		second.Close()
		require.Zero(t, budget.Used())

		w.recv(second)
		require.Zero(t, budget.Used())
	})
}
