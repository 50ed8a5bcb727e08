//go:build !race

package matrix_test

// manyPlayers is how many a large network has.
const manyPlayers = 1000
