package main

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestThreshold_NobodyWaitsForTheSlowPlayer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := startGroup(t, nil)
		g.Slow(4, 300*time.Millisecond)

		g.requireShares(t, 6, 100*time.Millisecond)
		g.requireShares(t, 7, 5*time.Second) // All seven do need the slow one.
	})
}
