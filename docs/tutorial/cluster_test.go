package main

import (
	"context"
	"crypto/ed25519"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/sessiontest"
)

// group is seven nodes in memory. The first one asks.
type group struct {
	*sessiontest.Nodes

	signing *Signing
	keys    Keys
}

// startGroup starts the nodes. A node with an entry in plays has that play, the others are honest.
func startGroup(t *testing.T, plays map[int]Play) *group {
	t.Helper()

	g := &group{keys: make(Keys)}
	g.Nodes = sessiontest.Cluster(t, 7, sessiontest.WithSetup(func(i int, node mino.Mino) error {
		public, private, err := ed25519.GenerateKey(nil)
		if err != nil {
			return err
		}

		play, special := plays[i]
		if !special {
			play = Sign(private)
		}

		g.keys[node.GetAddress().String()] = public

		signing, err := DefineSigning(node, play)
		if i == 0 {
			g.signing = signing
		}

		return err
	}))

	return g
}

// ask asks for k shares, for a minute at most. It returns how many good ones there were and how long it took.
func (g *group) ask(t *testing.T, k int) (good int, took time.Duration, err error) {
	t.Helper()

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	begin := time.Now()
	shares, err := Threshold(ctx, g.signing, "hello", g.Players(), g.keys, k)

	return len(shares), time.Since(begin), err
}

// requireShares fails the test if k shares do not come within the limit.
func (g *group) requireShares(t *testing.T, k int, limit time.Duration) {
	t.Helper()

	good, took, err := g.ask(t, k)
	if err != nil || good != k {
		t.Fatalf("%d shares instead of %d: %v", good, k, err)
	}

	if took > limit {
		t.Fatalf("%d shares have taken %v, more than %v", k, took, limit)
	}
}

func TestThreshold_EverybodySigns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := startGroup(t, nil)
		g.requireShares(t, 7, time.Second)
	})
}
