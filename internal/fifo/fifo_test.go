package fifo_test

import (
	"runtime"
	"testing"
	"weak"

	"github.com/minogrpc/session/internal/fifo"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Promise M1: against the simplest list there is.
func TestList_BehavesAsASlice(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var (
			list  fifo.List[int]
			model []int
			next  int
		)

		push := func(count int) {
			for range count {
				list.Push(next)
				model = append(model, next)
				next++
			}
		}

		pop := func(count int) {
			for range min(count, len(model)) {
				require.Equal(rt, model[0], list.Pop())
				model = model[1:]
			}
		}

		rt.Repeat(map[string]func(*rapid.T){
			"push":  func(rt *rapid.T) { push(rapid.IntRange(1, 5).Draw(rt, "count")) },
			"burst": func(rt *rapid.T) { push(rapid.IntRange(1, 300).Draw(rt, "count")) },
			"pop":   func(rt *rapid.T) { pop(rapid.IntRange(1, 5).Draw(rt, "count")) },
			"drain": func(rt *rapid.T) { pop(rapid.IntRange(1, 300).Draw(rt, "count")) },
			"change": func(rt *rapid.T) {
				if len(model) == 0 {
					return
				}

				i := rapid.IntRange(0, len(model)-1).Draw(rt, "place")
				*list.At(i) = -next
				model[i] = -next
			},
			"": func(rt *rapid.T) {
				require.Equal(rt, len(model), list.Len())

				for i, value := range model {
					require.Equal(rt, value, *list.At(i))
				}
			},
		})
	})
}

// Promise M1: a popped value is not referenced any more, wherever it was in its chunk.
func TestList_PoppedValueIsReleasedAtOnce(t *testing.T) {
	var list fifo.List[*[16]byte]

	references := make([]weak.Pointer[[16]byte], 150)
	for i := range references {
		value := new([16]byte)
		references[i] = weak.Make(value)
		list.Push(value)

		if i%3 == 2 {
			list.Pop()
		}
	}

	for list.Len() > 1 {
		list.Pop()
	}

	runtime.GC()

	last := len(references) - 1
	for i := range last {
		require.Nil(t, references[i].Value(), i)
	}

	require.NotNil(t, references[last].Value())
	require.Equal(t, references[last].Value(), list.Pop())
}

// Promise M1: nor is one that was moved to the start of its chunk in between.
func TestList_MovedValueIsReleasedAtOnce(t *testing.T) {
	var list fifo.List[*[16]byte]

	moved := new([16]byte)
	reference := weak.Make(moved)

	for _, value := range []*[16]byte{nil, nil, nil, moved} {
		list.Push(value)
	}

	list.Pop()
	list.Pop()
	list.Push(nil)
	list.Pop()
	list.Pop()

	runtime.GC()
	require.Nil(t, reference.Value())
	require.Equal(t, 1, list.Len())
}

// Promise M1: the memory of a burst goes back while the list is emptied.
func TestList_MemoryGoesBackAfterABurst(t *testing.T) {
	const count = 1 << 20

	var list fifo.List[[2]uint64]

	before := liveHeap()

	for range count {
		list.Push([2]uint64{})
	}

	require.Greater(t, liveHeap(), before+count*16)

	for range count / 2 {
		list.Pop()
	}

	require.Less(t, liveHeap(), before+count*9)

	for list.Len() > 1 {
		list.Pop()
	}

	require.Less(t, liveHeap(), before+count)
	runtime.KeepAlive(&list)
}

// Promise M1: what is pushed and popped at the same pace costs no memory, whatever the
// length.
func TestList_SteadyListAllocatesNothing(t *testing.T) {
	for _, length := range []int{0, 1, 3, 63, 64, 65, 127, 128, 1000} {
		var list fifo.List[int]

		for range length {
			list.Push(0)
		}

		turn := func() {
			for range 500 {
				list.Push(0)
				list.Pop()
			}
		}

		turn()
		require.Zero(t, testing.AllocsPerRun(100, turn), length)
	}
}

// A list that never holds more than a few values stays small, although many have passed.
func TestList_ShortListStaysSmall(t *testing.T) {
	const count, most = 1000, 256

	lists := make([]fifo.List[*int], count)
	before := liveHeap()

	for i := range lists {
		for range 1000 {
			lists[i].Push(nil)

			if lists[i].Len() == 3 {
				lists[i].Pop()
			}
		}
	}

	require.Less(t, liveHeap(), before+count*most)
	runtime.KeepAlive(lists)
}

func liveHeap() uint64 {
	runtime.GC()
	runtime.GC()

	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)

	return stats.HeapAlloc
}

// BenchmarkList is a push and a pop, in a list of that length.
func BenchmarkList(b *testing.B) {
	for name, length := range map[string]int{"short": 1, "long": 10_000} {
		b.Run(name, func(b *testing.B) {
			var list fifo.List[[3]uint64]

			for range length {
				list.Push([3]uint64{})
			}

			b.ReportAllocs()

			for b.Loop() {
				list.Push([3]uint64{})
				list.Pop()
			}
		})
	}
}
