package frames

import (
	"strings"
	"testing"
	"time"

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
