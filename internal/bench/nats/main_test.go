package main

import (
	"strings"
	"testing"

	"github.com/minogrpc/session/internal/bench/paired"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// The figures of one tiny round mean nothing, but each has to come about.
func TestRun_PrintsARowForEachSize(t *testing.T) {
	var printed strings.Builder

	require.NoError(t, run(&printed, paired.Plan{Rounds: 1}, "."))
	require.Contains(t, printed.String(), "64 B")
	require.Contains(t, printed.String(), "1 KiB")
}

func TestRun_MeasuresNothingElse(t *testing.T) {
	var printed strings.Builder

	require.NoError(t, run(&printed, paired.Plan{Rounds: 1}, "^hop"))
	require.Empty(t, printed.String())
}
