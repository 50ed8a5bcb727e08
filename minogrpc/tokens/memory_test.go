package tokens_test

import (
	"math"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session/minogrpc/tokens"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// The procedure of existing networks: one token serves several joins.
func TestInMemoryHolder_ATokenLetsAnyNumberInByDefault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		holder := tokens.NewInMemoryHolder()
		token := holder.Generate(time.Minute)

		for range 1000 {
			require.True(t, holder.Verify(token))
		}

		time.Sleep(time.Minute)
		require.False(t, holder.Verify(token))
	})
}

// Promise S2: with one use, a token that somebody has seen in use is worth nothing.
func TestInMemoryHolder_ATokenOfOneUseLetsOneNodeIn(t *testing.T) {
	var holder tokens.Holder = tokens.NewInMemoryHolder(tokens.WithUses(1))

	a, b := holder.Generate(time.Hour), holder.Generate(time.Hour)

	require.True(t, holder.Verify(a))
	require.False(t, holder.Verify(a))
	require.True(t, holder.Verify(b), "another token is another node")
	require.False(t, holder.Verify(b))
}

func TestInMemoryHolder_ATokenLetsAsManyInAsTheOptionSays(t *testing.T) {
	holder := tokens.NewInMemoryHolder(tokens.WithUses(3))
	token := holder.Generate(time.Hour)

	for range 3 {
		require.True(t, holder.Verify(token))
	}

	require.False(t, holder.Verify(token))
}

// Promise S2: nor is it for those who present it at the same moment.
func TestInMemoryHolder_ConcurrentNodesUseUpAToken(t *testing.T) {
	holder := tokens.NewInMemoryHolder(tokens.WithUses(3))
	token := holder.Generate(time.Hour)

	var (
		nodes    sync.WaitGroup
		accepted atomic.Int32
	)

	for range 50 {
		nodes.Go(func() {
			holder.Generate(time.Hour)

			if holder.Verify(token) {
				accepted.Add(1)
			}
		})
	}

	nodes.Wait()
	require.EqualValues(t, 3, accepted.Load())
}

// Promise S2: nobody is let in with a token that was never given.
func TestInMemoryHolder_KnowsItsOwnTokensOnly(t *testing.T) {
	holder := tokens.NewInMemoryHolder()
	token := holder.Generate(time.Hour)

	for name, guess := range map[string]string{
		"empty":           "",
		"shorter":         token[1:],
		"longer":          token + "A",
		"other case":      strings.ToLower(token),
		"with a space":    token + " ",
		"very long":       strings.Repeat(token, 1000),
		"of another node": tokens.NewInMemoryHolder().Generate(time.Hour),
	} {
		require.False(t, holder.Verify(guess), name)
	}

	require.True(t, holder.Verify(token), "guessing does not use it up")
}

func TestInMemoryHolder_ATokenExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		holder := tokens.NewInMemoryHolder(tokens.WithUses(2))
		token := holder.Generate(time.Minute)

		time.Sleep(time.Minute - time.Nanosecond)
		require.True(t, holder.Verify(token))

		time.Sleep(time.Nanosecond)
		require.False(t, holder.Verify(token))
	})
}

func TestInMemoryHolder_AnExpirationMayBeAnything(t *testing.T) {
	holder := tokens.NewInMemoryHolder()

	require.False(t, holder.Verify(holder.Generate(0)))
	require.False(t, holder.Verify(holder.Generate(-1)))
	require.False(t, holder.Verify(holder.Generate(math.MinInt64)))
	require.True(t, holder.Verify(holder.Generate(math.MaxInt64)))
}

func TestInMemoryHolder_TheOldestGoesWhenItIsFull(t *testing.T) {
	holder := tokens.NewInMemoryHolder(tokens.WithMaxTokens(2))

	// Which one expires first does not matter.
	a, b, c := holder.Generate(3*time.Hour), holder.Generate(time.Hour), holder.Generate(2*time.Hour)

	require.False(t, holder.Verify(a))
	require.True(t, holder.Verify(b))
	require.True(t, holder.Verify(c))
}

func TestInMemoryHolder_WhatCountsNoMoreTakesNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		holder := tokens.NewInMemoryHolder(tokens.WithMaxTokens(3), tokens.WithUses(1))
		kept := holder.Generate(time.Hour)

		require.True(t, holder.Verify(holder.Generate(time.Hour)))
		holder.Generate(time.Minute)
		holder.Generate(time.Minute)
		time.Sleep(time.Minute)
		holder.Generate(time.Hour)
		holder.Generate(time.Hour)
		holder.Generate(0)

		require.True(t, holder.Verify(kept))
	})
}

func TestInMemoryHolder_OptionsThatMakeNoSenseAreIgnored(t *testing.T) {
	for _, n := range []int{0, -1, math.MinInt} {
		holder := tokens.NewInMemoryHolder(tokens.WithUses(1), tokens.WithUses(n), tokens.WithMaxTokens(n))
		a, b := holder.Generate(time.Hour), holder.Generate(time.Hour)

		require.True(t, holder.Verify(a))
		require.False(t, holder.Verify(a))
		require.True(t, holder.Verify(b))
	}
}

// Promise S2: the form has room for 128 bits, and no two tokens are the same in it.
// That each letter takes every value in every place is what chance would do.
func TestInMemoryHolder_TokensAreRandomAndNeedNoQuotes(t *testing.T) {
	const count = 2000

	holder := tokens.NewInMemoryHolder()
	seen := map[string]bool{}

	var letters [26]map[byte]bool
	for i := range letters {
		letters[i] = map[byte]bool{}
	}

	for range count {
		token := holder.Generate(time.Hour)
		require.Regexp(t, `^[A-Z0-9]{26}$`, token)
		require.Equal(t, token, url.QueryEscape(token))

		seen[token] = true

		for i := range letters {
			letters[i][token[i]] = true
		}
	}

	require.Len(t, seen, count)

	// 5 bits in each of 26 places are 130; that one of 32 letters is missing
	// somewhere has a chance of 1 in 10^24.
	for i := range letters {
		require.Len(t, letters[i], 32, i)
	}
}
