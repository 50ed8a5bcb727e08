package frames

import (
	"strings"
	"testing"
	"time"

	"github.com/minogrpc/session/internal/memory"
	"github.com/minogrpc/session/internal/parcel"
	"github.com/minogrpc/session/ptypes"
	"github.com/stretchr/testify/require"
)

// What ends a parcel does not pass its failures, however large these are: the parcel
// would be settled without them.
//
// Promise O1.
func TestDuplex_LastReceiptDoesNotPassTheFailures(t *testing.T) {
	const frame = 4 << 10

	m := New(Config{Box: &parcel.Box{}, MaxFrame: frame}, time.Now())

	for id := range uint64(3) {
		failure := &ptypes.Failure{Cause: strings.Repeat("?", frame)}
		_ = m.Reply(&ptypes.Receipt{ParcelId: id + 1, Failures: []*ptypes.Failure{failure}})
	}

	for id := range uint64(3) {
		_ = m.Reply(&ptypes.Receipt{ParcelId: id + 1, Last: true})
	}

	failed := make(map[uint64]bool)
	ended := make(map[uint64]bool)

	for draft, more := m.Draft(); more; draft, more = m.Draft() {
		m.Compose(draft)

		composed := m.unread.At(m.unread.Len() - 1).frame
		for _, r := range composed.GetReceipts() {
			require.False(t, ended[r.GetParcelId()])

			failed[r.GetParcelId()] = true
			ended[r.GetParcelId()] = r.GetLast()
		}

		for _, id := range composed.GetDelivered() {
			require.True(t, failed[id], "parcel %d is settled without its failure", id)

			ended[id] = true
		}
	}

	require.Equal(t, map[uint64]bool{1: true, 2: true, 3: true}, ended)
}

// charged returns a machine with a budget of a MiB.
func charged() (*Machine, *memory.Budget) {
	budget := memory.NewBudget(1 << 20)

	return New(Config{Box: &parcel.Box{Budget: budget}, MaxFrame: 64 << 10}, time.Now()), budget
}

// failReply replies that the parcel with that number has failed.
func (m *Machine) failReply(id int) error {
	failures := []*ptypes.Failure{{Destination: []byte("FAnowhere:1"), Cause: "no route"}}

	return m.Reply(&ptypes.Receipt{ParcelId: uint64(id), Failures: failures, Last: true})
}

// Promise M3: an outcome counts for the memory of the neighbour until that has received it. A few are
// free.
func TestReply_IsChargedUntilItIsReceived(t *testing.T) {
	m, budget := charged()

	for id := range 8 {
		require.NoError(t, m.failReply(id))
	}

	require.Zero(t, budget.Used())

	for id := range 800 {
		require.NoError(t, m.failReply(id))
		require.NoError(t, m.Delivered(uint64(1000+id)))
	}

	held := budget.Used()
	require.Greater(t, held, 800*(2*replySize+deliveredSize)-freeReplies)

	for draft, more := m.Draft(); more; draft, more = m.Draft() {
		m.Compose(draft)
	}

	require.Equal(t, held, budget.Used(), "it is not received when it is written")
	require.NoError(t, m.confirm(m.last/2, time.Now()))
	require.Less(t, budget.Used(), held*3/4)
	require.NoError(t, m.confirm(m.last, time.Now()))
	require.Zero(t, budget.Used())
	require.Zero(t, m.unheard)
	require.Zero(t, m.owed)
}

// Promises M3, O3: when the memory is used up, a neighbour is told so. One that lets outcomes wait
// without end is lost.
func TestReply_FindsRoomWhenTheMemoryIsUsedUp(t *testing.T) {
	m, budget := charged()
	require.True(t, budget.Reserve(1<<20))

	told := 0
	for m.failReply(told) == nil {
		told++
	}

	require.Greater(t, told, 1000)
	require.ErrorIs(t, m.failReply(0), ErrReplies)
	require.LessOrEqual(t, budget.Used(), 2<<20)

	m.Forget()
	require.Equal(t, 1<<20, budget.Used())
}
