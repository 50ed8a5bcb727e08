package worlds_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router"
	"github.com/stretchr/testify/require"
)

// piece gives the session a frame with a piece of a large message, which will have that many bytes.
func (n *neighbour) piece(offset, total, size int) {
	frame := &ptypes.Packet{
		Received: n.confirmed(),
		Chunks:   []*ptypes.Chunk{{Id: 1, Offset: uint64(offset), Total: uint64(total), Data: make([]byte, size)}},
	}
	n.sent = append(n.sent, frame)
	frame.Frame = uint64(len(n.sent))
	n.current().Feed(frame)
}

// last gives the session the parcel of the large message, with its last piece.
func (n *neighbour) last(id uint64, size int) {
	frame := &ptypes.Packet{Received: n.confirmed(), Parcels: []*ptypes.Parcel{{
		Id: id, Chunked: 1, Origin: []byte("0123456789abcdef"), Sequence: id, HopLimit: 10, Body: make([]byte, size),
	}}}
	n.sent = append(n.sent, frame)
	frame.Frame = uint64(len(n.sent))
	n.current().Feed(frame)
}

// Promises S3, M3: messages that have come in part hold what is there, and not what is announced. One
// peer holds no more than its share with them, in all its streams. Those that make no progress are
// dropped, and reported.
func TestStall_MessagesAreDropped(t *testing.T) {
	const (
		streams   = 16
		announced = 4 << 20
		there     = announced / 8
		share     = 8 << 20
	)

	inWorld(t, func(t *testing.T, w *world) {
		rejected := make(chan error, streams)
		budget := session.NewMemoryBudgetWithShare(4*share, share)
		opts := []session.Option{
			session.WithMemoryBudget(budget),
			session.WithObserver(session.Observer{
				MessageRejected: func(_ session.StreamInfo, err *session.MessageError) { rejected <- err },
			}),
		}

		neighbours := make([]*neighbour, streams)
		table := w.table(1, addr("a"), addr("b"))
		tables := streams * table.(router.Weighted).Weight()

		for i := range neighbours {
			neighbours[i] = w.parent(w.session(addr("a"), opts...), addr("p"), table)
		}

		for _, n := range neighbours[:6] {
			n.piece(0, announced, there)
		}

		synctest.Wait()
		require.LessOrEqual(t, budget.Used()-tables, 6*2*there)
		require.GreaterOrEqual(t, budget.Used()-tables, 6*there)

		for _, n := range neighbours[6:] {
			n.piece(0, announced, there)
		}

		synctest.Wait()
		require.LessOrEqual(t, budget.Used(), share)

		// The sessions go on with everybody, and the peer gives signs of life.
		for range 14 {
			time.Sleep(time.Second)

			for _, n := range neighbours {
				n.feed(&ptypes.Packet{})
			}
		}

		synctest.Wait()
		require.Equal(t, tables, budget.Used())
		require.Len(t, rejected, share/there-1, "those for which there was memory, beside the tables")
		require.ErrorContains(t, <-rejected, "has begun, and made no progress")

		neighbours[0].requireRejected(there, announced)
		require.Equal(t, tables, budget.Used())
	})
}

// requireRejected completes a message that was dropped, in pieces of a size, and expects to be told.
func (n *neighbour) requireRejected(size, total int) {
	for offset := size; offset < total-size; offset += size {
		n.piece(offset, total, size)
	}

	n.last(1, size)
	synctest.Wait()

	verdict := n.verdicts()[1]
	require.True(n, verdict.over)
	require.Equal(n, map[string]ptypes.Reason{"": ptypes.Reason_REASON_REJECTED}, verdict.failed)
}

// Promises L1, L5: a message that is slow is not dropped, nor is one over a link that breaks.
func TestStall_SlowMessagesGoOn(t *testing.T) {
	const size = 10_000

	inWorld(t, func(t *testing.T, w *world) {
		sess := w.session(addr("a"))
		n := w.parent(sess, addr("p"), w.table(1, addr("a")))
		n.piece(0, 12*size, size)

		for i := range 8 {
			for range 8 {
				time.Sleep(time.Second)
				n.feed(&ptypes.Packet{})
			}

			n.piece((i+1)*size, 12*size, size)
		}

		for range 9 {
			time.Sleep(time.Second)
			n.feed(&ptypes.Packet{})
		}

		n.current().End(errors.New("broken"))
		time.Sleep(1500 * time.Millisecond)
		require.True(t, n.tryDial())

		for range 9 {
			n.feed(&ptypes.Packet{})
			time.Sleep(time.Second)
		}

		// It is no packet, and comes to its end all the same.
		n.piece(9*size, 12*size, size)
		n.piece(10*size, 12*size, size)
		n.last(1, size)
		synctest.Wait()

		failures := n.frames()[len(n.frames())-1].GetReceipts()[0].GetFailures()
		require.Len(t, failures, 1)
		require.Contains(t, failures[0].GetCause(), "malformed")
		require.NotContains(t, failures[0].GetCause(), "no progress")
	})
}
