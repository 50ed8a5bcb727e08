package frames

// fifo is a list, first in and first out, that keeps its memory while it is short. The
// zero fifo is empty.
type fifo[T any] struct {
	items []T
	head  int
}

// keep is how many places an empty fifo keeps at most.
const keep = 64

func (f *fifo[T]) len() int {
	return len(f.items) - f.head
}

// at returns the item at a place, counted from the oldest.
func (f *fifo[T]) at(i int) *T {
	return &f.items[f.head+i]
}

func (f *fifo[T]) push(item T) {
	if f.head > 0 && len(f.items) == cap(f.items) {
		// Half of the places have been left, or more are needed anyway.
		if f.head >= len(f.items)/2 {
			n := copy(f.items, f.items[f.head:])
			clear(f.items[n:])
			f.items, f.head = f.items[:n], 0
		}
	}

	f.items = append(f.items, item)
}

// pop takes out the oldest item. The fifo must not be empty.
func (f *fifo[T]) pop() T {
	var none T

	item := f.items[f.head]
	f.items[f.head] = none
	f.head++

	if f.head == len(f.items) {
		f.items, f.head = f.items[:0], 0
		if cap(f.items) > keep {
			f.items = nil
		}
	}

	return item
}
