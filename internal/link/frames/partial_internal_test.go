package frames

import (
	"testing"
	"time"

	"github.com/minogrpc/session/internal/memory"
	"github.com/minogrpc/session/internal/parcel"
	"github.com/minogrpc/session/ptypes"
	"github.com/stretchr/testify/require"
)

// Promise S3: the memory for a large message grows with what has come, whatever it says that it will be.
// It is for all of it once a quarter is there, so that the last copy is small.
func TestMachine_MemoryOfALargeMessage(t *testing.T) {
	const (
		total = 64 << 20
		piece = 192 << 10
	)

	budget := memory.NewBudget(1 << 30)
	m := New(Config{Box: &parcel.Box{Budget: budget}, MaxFrame: 256 << 10, MaxBody: total}, time.Now())

	var copied int

	for offset := 0; offset < total; offset += piece {
		before := budget.Used()
		data := make([]byte, min(piece, total-offset))
		frame := &ptypes.Packet{Chunks: []*ptypes.Chunk{{Id: 1, Offset: uint64(offset), Total: total, Data: data}}}

		_, err := m.Assemble(frame)
		require.NoError(t, err)

		used, come := budget.Used(), offset+len(data)
		require.LessOrEqual(t, used, max(step, whole*come))
		require.GreaterOrEqual(t, used, come)

		if used != before {
			copied = before
		}
	}

	require.Equal(t, total, budget.Used())
	require.LessOrEqual(t, copied, total/whole)

	m.Abandon()
	require.Zero(t, budget.Used())
}
