package main

import (
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

// requireShares asks for k shares. It fails the test if they do not come within the limit.
func (g *group) requireShares(t *testing.T, k int, limit time.Duration) {
	t.Helper()

	begin := time.Now()

	shares, err := Threshold(t.Context(), g.signing, "hello", g.Players(), g.keys, k)
	if err != nil || len(shares) != k {
		t.Fatalf("%d shares instead of %d: %v", len(shares), k, err)
	}

	if took := time.Since(begin); took > limit {
		t.Fatalf("%d shares have taken %v, more than %v", k, took, limit)
	}
}

func TestThreshold_EverybodySigns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := startGroup(t, nil)
		g.requireShares(t, 7, time.Second)
	})
}
