package protocol_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/protocol"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
)

// faulty starts seven nodes that sign, but for those that have another play, and returns the procedure of the first.
func faulty(t *testing.T, plays map[int]protocol.Play[Ask, Share]) (
	first *protocol.Procedure[Ask, Share], c *sessiontest.Nodes,
) {
	t.Helper()

	c = sessiontest.Cluster(t, 7, sessiontest.WithSetup(func(i int, node mino.Mino) error {
		play := plays[i]
		if play == nil {
			play = Sign(node)
		}

		p, err := protocol.Define(node, "sign", play)
		if i == 0 {
			first = p
		}

		return err
	}))

	return first, c
}

// Promise P2: one player is slow, one is dead, one sends garbage: five good shares of seven cannot be had, and this
// is certain within the liveness bound.
func TestThreshold_DeadPlayerIsFoundWithinTheLivenessBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := make(chan struct{})
		signing, c := faulty(t, map[int]protocol.Play[Ask, Share]{
			2: func(ctx context.Context, s *protocol.Stream[Ask, Share]) error {
				for _, err := range s.Requests(ctx) {
					if err != nil {
						return err
					}

					close(asked) // It dies after the request was delivered.
				}

				return nil
			},
			3: protocol.Answer(func(context.Context, Ask) (Share, error) { return Share{Message: "goodbye"}, nil }),
			4: protocol.Answer(func(_ context.Context, ask Ask) (Share, error) {
				<-time.After(30 * time.Second)

				return Share{"grpc://n4:1", ask.Message}, nil
			}),
		})

		go func() { <-asked; c.Freeze(2) }()

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()

		begin := time.Now()
		shares, err := Threshold(ctx, signing, "hello", c.Players(), 6)

		var short *protocol.QuorumError
		require.ErrorAs(t, err, &short)
		require.Len(t, shares, 4)
		require.ErrorIs(t, err, errForged)
		require.Equal(t, protocol.ReasonLost, short.Players[1].Reason)
		require.Less(t, time.Since(begin), session.DefaultLiveness+3*time.Second)

		// The slow one is waited for, because it lives.
		begin = time.Now()
		shares, err = Threshold(ctx, signing, "hello", c.Players(), 5)
		require.NoError(t, err)
		require.Len(t, shares, 5)
		require.Less(t, time.Since(begin), 31*time.Second)
	})
}

// Promise P2: a player whose play returns an error, panics, or returns without an answer is found at once.
func TestThreshold_FailedPlayersAreFoundAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signing, c := faulty(t, map[int]protocol.Play[Ask, Share]{
			2: func(context.Context, *protocol.Stream[Ask, Share]) error { return errors.New("no key") },
			3: func(context.Context, *protocol.Stream[Ask, Share]) error { panic("at the disco") },
			4: func(context.Context, *protocol.Stream[Ask, Share]) error { return nil },
		})

		begin := time.Now()
		_, err := Threshold(t.Context(), signing, "hello", c.Players(), 5)

		require.ErrorContains(t, err, "a quorum of 5 is out of reach")
		require.ErrorContains(t, err, "grpc://n2:1: ")
		require.Less(t, time.Since(begin), time.Second)
	})
}

// maxLines is how long the program of the example may be, and maxTestLines how long its tests.
const maxLines, maxTestLines = 45, 60

func TestExample_GatherIsShort(t *testing.T) {
	program := lines(t, "example_gather_test.go", "\n)\n", "// Output")
	require.Greater(t, program, maxLines/2)
	require.LessOrEqual(t, program, maxLines)

	tests := lines(t, "threshold_test.go", "// Promise P2", "// maxLines")
	require.Greater(t, tests, maxTestLines/2)
	require.LessOrEqual(t, tests, maxTestLines)
}

// lines counts the lines of code between two markers, without comments and empty lines.
func lines(t *testing.T, file, after, before string) (n int) {
	t.Helper()

	data, err := os.ReadFile(file)
	require.NoError(t, err)

	_, code, found := strings.Cut(string(data), after)
	require.True(t, found)
	code, _, found = strings.Cut(code, before)
	require.True(t, found)

	for line := range strings.Lines("// " + code) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "//") {
			n++
		}
	}

	return n
}
