// Package fifo has the one list of the project that is first in and first out.
//
// A list takes memory for what is in it, and for little more: a burst leaves nothing
// behind, and a short list stays small. A list that is filled and emptied at the same
// pace allocates nothing. Lists have no lock; each belongs to its owner.
package fifo

// chunkSize is the number of values in a full chunk. It is a compromise: one allocation
// in that many pushes while a list grows, against what a list keeps when it is empty.
const chunkSize = 64

// firstSize is the number of values that the first chunk starts with. Many lists hold
// only a few values at a time, and a chunk for each of those lists would add up.
const firstSize = 4

// List holds values in the order in which they were pushed. It takes memory for its
// values and for at most two chunks more. It does not reference a value that was popped.
// The zero List is empty. A List that has been used must not be copied, unless the
// original is not used any more.
type List[T any] struct {
	// head has the oldest value at first, and tail has the newest at its end. All chunks
	// but the tail are full. Both are nil until the first push.
	head, tail *chunk[T]
	first      int

	// size is the number of values.
	size int

	// spare is an empty chunk for the next time that the tail is full, or nil.
	spare *chunk[T]
}

// chunk is a part of a list. Only a chunk that is alone has a capacity below chunkSize.
type chunk[T any] struct {
	values []T
	next   *chunk[T]
}

// Len returns the number of values.
func (l *List[T]) Len() int {
	return l.size
}

// At returns the value at a place, counted from the oldest, which is at 0. The place must
// be less than Len. The pointer is valid until the next Push or Pop. The oldest and the
// newest values are found at once; others take a step for each chunk before them.
func (l *List[T]) At(i int) *T {
	fromEnd := l.size - i
	if inTail := len(l.tail.values); fromEnd <= inTail {
		return &l.tail.values[inTail-fromEnd]
	}

	c := l.head

	for i += l.first; i >= chunkSize; i -= chunkSize {
		c = c.next
	}

	return &c.values[i]
}

// Push appends a value.
func (l *List[T]) Push(value T) {
	switch {
	case l.tail == nil:
		l.head = &chunk[T]{values: make([]T, 0, firstSize)}
		l.tail = l.head
	case len(l.tail.values) == chunkSize:
		l.extend()
	case len(l.tail.values) == cap(l.tail.values):
		l.makeRoom()
	}

	l.tail.values = append(l.tail.values, value)
	l.size++
}

// Pop takes out the oldest value. The list must not be empty.
func (l *List[T]) Pop() T {
	var none T

	value := l.head.values[l.first]
	l.head.values[l.first] = none
	l.first++
	l.size--

	switch {
	case l.size == 0:
		// Only the tail is left. It is used again from its start.
		l.head.values, l.first = l.head.values[:0], 0
	case l.first == chunkSize:
		l.shorten()
	}

	return value
}

// extend appends an empty chunk to a full tail.
func (l *List[T]) extend() {
	next := l.spare
	l.spare = nil

	if next == nil {
		next = &chunk[T]{values: make([]T, 0, chunkSize)}
	}

	l.tail.next = next
	l.tail = next
}

// shorten takes out the head, whose values have all been popped. One such chunk is kept:
// a list of steady length would otherwise allocate for ever.
func (l *List[T]) shorten() {
	empty := l.head
	l.head, l.first = empty.next, 0

	empty.values, empty.next = empty.values[:0], nil
	l.spare = empty
}

// makeRoom moves the values of a small chunk to its start, if half of it has been popped.
// Without that append makes the chunk larger, although the list is as short as before.
func (l *List[T]) makeRoom() {
	values := l.tail.values
	if l.first < len(values)/2 {
		return
	}

	n := copy(values, values[l.first:])
	clear(values[n:])
	l.tail.values, l.first = values[:n], 0
}
