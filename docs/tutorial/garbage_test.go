package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session/protocol"
)

// Five of seven: one player is slow, one dies, and one sends garbage.
func TestThreshold_FiveOfSevenInSpiteOfThreeFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		garbage := protocol.Answer(func(context.Context, Ask) (Share, error) {
			return Share{Signature: []byte("garbage")}, nil
		})

		var g *group
		g = startGroup(t, map[int]Play{3: garbage, 5: silent(func() { g.Kill(5) })})
		g.Slow(4, 300*time.Millisecond)

		g.requireShares(t, 5, 5*time.Second)

		// Six cannot be had, and the error says why.
		good, _, err := g.ask(t, 6)

		short, ok := errors.AsType[*protocol.QuorumError](err)
		if !ok || good != short.Got || !errors.Is(err, ErrForged) {
			t.Fatalf("%d shares, and the error does not name the garbage: %v", good, err)
		}

		t.Log(err)
	})
}
