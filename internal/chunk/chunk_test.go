package chunk_test

import (
	"testing"

	"github.com/minogrpc/session/internal/chunk"
	"github.com/stretchr/testify/require"
)

// Promise S3: a piece takes no more memory than its size asks for, by a factor of four.
func TestGet_LendsWhatIsWorthIt(t *testing.T) {
	for _, size := range []int{0, 1, chunk.Size / 4, chunk.Size/4 + 1, chunk.Size, chunk.Size + 1} {
		piece := chunk.Get(size)
		require.Len(t, piece, size)
		require.LessOrEqual(t, cap(piece), max(4*size, 64))

		chunk.Put(piece)
	}

	// Nobody else's memory is lent on.
	chunk.Put(nil)
	chunk.Put(make([]byte, 3))
	require.Len(t, chunk.Get(chunk.Size), chunk.Size)
}
