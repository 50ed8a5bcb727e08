package main

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudflare/circl/sign/bls"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/protocol"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// start starts the seven players on a network in memory. Those that are named lie too.
func start(t *testing.T, liars ...int) (first *signing, c committee, nodes *sessiontest.Nodes) {
	t.Helper()

	c, secrets := deal(5, 7)
	nodes = sessiontest.Cluster(t, 7, sessiontest.WithSetup(func(i int, node mino.Mino) error {
		role := i
		if slices.Contains(liars, i) {
			role = liar
		}

		p, err := protocol.Define(node, "sign", sign(role, secrets[i], func() { nodes.Kill(i) }))
		if i == 0 {
			first = p
		}

		return err
	}))

	return first, c, nodes
}

func TestCollect_FiveGoodSharesOfSeven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, c, nodes := start(t)
		players := nodes.Addresses()

		begin := time.Now()
		signature, err := collect(t.Context(), first, c, players, newBoard(io.Discard, 7, false))
		require.NoError(t, err)
		require.True(t, bls.Verify(c.group, []byte(message), signature))

		// The slow one is waited for, and nobody else.
		require.Less(t, time.Since(begin), 3*time.Second)
	})
}

// As soon as three of seven have given no good share, the error says who: nobody waits for the slow one.
func TestCollect_FourGoodSharesAreTooFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, c, nodes := start(t, 5)
		players := nodes.Addresses()

		begin := time.Now()
		signature, err := collect(t.Context(), first, c, players, newBoard(io.Discard, 7, false))
		require.Empty(t, signature)

		var short *protocol.QuorumError
		require.ErrorAs(t, err, &short)
		require.ErrorIs(t, err, errLie)
		require.Equal(t, 5, short.Want)
		require.LessOrEqual(t, short.Got, 4)
		require.Less(t, time.Since(begin), 2*time.Second)

		reasons := make(map[mino.Address]protocol.Reason)
		for _, failed := range short.Players {
			reasons[failed.Player] = failed.Reason
		}

		require.Equal(t, map[mino.Address]protocol.Reason{
			players[dead]: protocol.ReasonLost,
			players[liar]: protocol.ReasonBadAnswer,
			players[5]:    protocol.ReasonBadAnswer,
		}, reasons)
	})
}

func TestCombine_AnyKSharesMakeTheSameSignature(t *testing.T) {
	c, secrets := deal(2, 5)

	shares := func(players ...int) map[int]bls.Signature {
		all := make(map[int]bls.Signature)
		for _, i := range players {
			all[i] = bls.Sign(secrets[i], []byte(message))
		}

		return all
	}

	first, err := combine(shares(0, 1))
	require.NoError(t, err)
	require.True(t, bls.Verify(c.group, []byte(message), first))

	other, err := combine(shares(4, 2))
	require.NoError(t, err)
	require.Equal(t, first, other)

	short, err := combine(shares(1))
	require.NoError(t, err)
	require.False(t, bls.Verify(c.group, []byte(message), short))

	_, err = combine(map[int]bls.Signature{0: []byte("no point")})
	require.Error(t, err)
}

func TestRun_PrintsALineForEachPlayer(t *testing.T) {
	var out bytes.Buffer

	require.NoError(t, run(&out))

	text := out.String()
	require.NotContains(t, text, "\x1b", "what is not a terminal has no colours")
	require.Regexp(t, `player 3 +\d\.\d\d s  ✓`, text)
	require.Regexp(t, `player 4 +\d\.\d\d s  ✗`, text)
	require.Regexp(t, `player 5 +\d\.\d\d s  ✗ lies`, text)
	require.Len(t, regexp.MustCompile(`player \d .*✓ a good share`).FindAllString(text, -1), 5)
	require.Contains(t, text, "valid: true")
}

// A signature that is not that of the key of all is a failure, and so the exit code is not zero.
func TestConclude_InvalidSignatureIsAnError(t *testing.T) {
	c, secrets := deal(1, 1)
	good := bls.Sign(secrets[0], []byte(message))

	var out bytes.Buffer

	require.NoError(t, conclude(&out, c, good))
	require.Contains(t, out.String(), "valid: true")

	for name, bad := range map[string]bls.Signature{
		"none":                nil,
		"of another message":  bls.Sign(secrets[0], []byte("pay 500 coins to me")),
		"no point of a curve": bytes.Repeat([]byte{7}, len(good)),
	} {
		out.Reset()
		require.ErrorIs(t, conclude(&out, c, bad), errInvalid, name)
		require.Contains(t, out.String(), "valid: false", name)
	}
}

// Nobody takes a run for a good one whose result could not be printed.
func TestRun_WriteErrorIsAnError(t *testing.T) {
	full := errors.New("disk full")

	require.ErrorIs(t, run(writer(func([]byte) (int, error) { return 0, full })), full)
}

// writer is an io.Writer that is a function.
type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// A terminal has one line for each player, which is drawn over, fits, and obeys no text of others.
func TestBoard_DrawsOverItsLinesOnATerminal(t *testing.T) {
	t.Setenv("NO_COLOR", "")

	var out bytes.Buffer

	b := newBoard(&out, 2, true)
	require.True(t, strings.HasPrefix(out.String(), "\n\n\x1b[2A\r\x1b[J"), out.String())

	out.Reset()
	b.set(1, "✗", "\x1b[2J\n"+strings.Repeat("long ", 50))

	lines := strings.Split(out.String(), "\n")
	require.Len(t, lines, 3)
	require.Regexp(t, "^\x1b\\[2A\r\x1b\\[J\x1b\\[2m  player 1 .*\x1b\\[0m$", lines[0])
	require.Regexp(t, "^\x1b\\[31m  player 2 .*✗ \uFFFD\\[2J long .*\x1b\\[0m$", lines[1])
	require.Equal(t, maxWidth+len("\x1b[31m\x1b[0m"), len([]rune(lines[1])))
}

func TestBoard_HasNoColoursForWhomSaysSo(t *testing.T) {
	t.Setenv("NO_COLOR", "1")

	var out bytes.Buffer

	newBoard(&out, 1, true).set(0, "✓", "a good share")
	require.Contains(t, out.String(), "✓ a good share\n")
	require.NotContains(t, out.String(), "\x1b[3")
	require.NotContains(t, out.String(), "\x1b[0m")
}
