//go:build race

package matrix_test

// With the race detector a network of a thousand takes longer than a stream may take to be
// set up.
const manyPlayers = 200
