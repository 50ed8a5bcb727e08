package session

// chunkSize is the number of values that are allocated at once. It is a
// compromise: one allocation in that many pushes against what an empty fifo
// keeps.
const chunkSize = 64

// fifo is a list of values, first in and first out. It takes memory for what is in
// it and at most two chunks more, so that a burst leaves nothing behind, and a
// value that was taken out is not referenced any more. The zero fifo is empty.
type fifo[T any] struct {
	head, tail *chunk[T]

	// first is where the oldest value is in the head, and last is where the next one
	// goes in the tail. Either may be one beyond its chunk.
	first, last int

	// size is the number of values.
	size int
}

type chunk[T any] struct {
	values [chunkSize]T
	next   *chunk[T]
}

// push appends a value.
func (f *fifo[T]) push(value T) {
	switch {
	case f.tail == nil:
		f.head = new(chunk[T])
		f.tail = f.head
	case f.last == chunkSize:
		f.tail.next = new(chunk[T])
		f.tail = f.tail.next
		f.last = 0
	}

	f.tail.values[f.last] = value
	f.last++
	f.size++
}

// pop takes out the oldest value. The fifo must not be empty.
func (f *fifo[T]) pop() T {
	if f.first == chunkSize {
		f.head = f.head.next
		f.first = 0
	}

	value := f.head.values[f.first]

	var none T
	f.head.values[f.first] = none
	f.first++
	f.size--

	if f.size == 0 {
		// The last chunk is used again: one that is full and empty in turn would
		// otherwise allocate for ever.
		f.head, f.first, f.last = f.tail, 0, 0
	}

	return value
}
