package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/protocol"
)

// silent is a play that takes requests and never answers. It calls the function when it has one.
func silent(asked func()) Play {
	return func(ctx context.Context, s *protocol.Stream[Ask, Share]) error {
		for _, err := range s.Requests(ctx) {
			if err != nil {
				return err
			}

			asked()
		}

		return nil
	}
}

// requireLost asks for seven shares. It fails the test unless player 5 is lost within the limit.
func (g *group) requireLost(t *testing.T, limit time.Duration) {
	t.Helper()

	_, took, err := g.ask(t, 7)

	lost, ok := errors.AsType[*protocol.PlayerError](err)
	if !ok || lost.Reason != protocol.ReasonLost || !lost.Player.Equal(g.Address(5)) {
		t.Fatalf("the error is not that player 5 is lost: %v", err)
	}

	if took > limit {
		t.Fatalf("it has taken %v to find the lost player, more than %v", took, limit)
	}
}

func TestThreshold_DeadPlayerIsFoundInSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g *group
		g = startGroup(t, map[int]Play{5: silent(func() { g.Kill(5) })})

		g.requireLost(t, 3*time.Second)
		g.requireShares(t, 6, time.Second)
	})
}

func TestThreshold_FrozenPlayerIsFoundWithinTheLivenessBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g *group
		g = startGroup(t, map[int]Play{5: silent(func() { g.Freeze(5) })})

		g.requireLost(t, session.DefaultLiveness+3*time.Second)
	})
}
