package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Promise O1: with the default options, a thousand players each have an outcome, and each of their
// answers comes exactly once.
func TestScale_ThousandPlayers(t *testing.T) {
	first, further, err := scale(shape{mode: duplex, players: 1000, defaults: true, inMemory: true})
	require.NoError(t, err)
	require.Positive(t, first)
	require.Positive(t, further)
}
