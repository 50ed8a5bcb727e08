// Package chunk lends the memory for the pieces of large messages, which is needed only
// until a piece has found its place in the whole.
package chunk

import "sync"

// Size is the largest piece that memory is lent for, in bytes.
const Size = 256 << 10

var pool = sync.Pool{New: func() any { return new([Size]byte) }}

// Get returns memory of that size. What is in it is not defined. Small or very large
// pieces get memory of their own.
func Get(size int) []byte {
	if size <= Size/4 || size > Size {
		return make([]byte, size)
	}

	piece, ok := pool.Get().(*[Size]byte)
	if !ok {
		return make([]byte, size)
	}

	return piece[:size]
}

// Put takes memory back that nobody uses any more. What does not come from Get is left
// to the garbage collector.
func Put(piece []byte) {
	if cap(piece) == Size {
		pool.Put((*[Size]byte)(piece[:Size]))
	}
}
