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

// silent is a play that takes a request and never answers. It closes the channel when it has the request.
func silent(asked chan<- struct{}) Play {
	return func(ctx context.Context, s *protocol.Stream[Ask, Share]) error {
		for _, err := range s.Requests(ctx) {
			if err != nil {
				return err
			}

			close(asked)
		}

		return nil
	}
}

// requireLost asks for seven shares. It fails the test unless player 5 is lost within the limit.
func (g *group) requireLost(t *testing.T, limit time.Duration) {
	t.Helper()

	begin := time.Now()
	_, err := Threshold(t.Context(), g.signing, "hello", g.Players(), g.keys, 7)

	lost, ok := errors.AsType[*protocol.PlayerError](err)
	if !ok || lost.Reason != protocol.ReasonLost || !lost.Player.Equal(g.Address(5)) {
		t.Fatalf("the error is not that player 5 is lost: %v", err)
	}

	if took := time.Since(begin); took > limit {
		t.Fatalf("it has taken %v to find the lost player, more than %v", took, limit)
	}
}

func TestThreshold_DeadPlayerIsFoundInSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := make(chan struct{})
		g := startGroup(t, map[int]Play{5: silent(asked)})

		go func() {
			<-asked
			g.Kill(5)
		}()

		g.requireLost(t, 3*time.Second)
		g.requireShares(t, 6, time.Second)
	})
}

func TestThreshold_FrozenPlayerIsFoundWithinTheLivenessBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := make(chan struct{})
		g := startGroup(t, map[int]Play{5: silent(asked)})

		go func() {
			<-asked
			g.Freeze(5)
		}()

		g.requireLost(t, session.DefaultLiveness+3*time.Second)
	})
}
