package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func TestCommand_ExitCodes(t *testing.T) {
	for _, test := range []struct {
		name   string
		args   []string
		code   int
		stderr string
	}{
		{"help", []string{"-h"}, 0, "-timeout"},
		{"unknown flag", []string{"-nope"}, exitUsage, "-nope"},
		{"argument", []string{"folder"}, exitUsage, "no arguments"},
		{"no folder", []string{"-dir", "does/not/exist"}, exitFailure, "list the files"},
		{"empty folder", []string{"-dir", t.TempDir()}, exitFailure, "no text"},
		{"no time", []string{"-dir", ".", "-timeout", "1ns"}, exitFailure, "deadline exceeded"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer

			require.Equal(t, test.code, command(test.args, &stdout, &stderr))
			require.Contains(t, stderr.String(), test.stderr)
			require.NotContains(t, stdout.String(), "add up")
		})
	}
}

func TestCommand_CountsAFolder(t *testing.T) {
	var stdout, stderr bytes.Buffer

	require.Zero(t, command([]string{"-dir", "."}, &stdout, &stderr), stderr.String())
	require.Empty(t, stderr.String())
	require.Equal(t, 2, bytes.Count(stdout.Bytes(), []byte("add up")))
}

// The picture is one of all that has happened, with the node that was stopped.
func TestCommand_DrawsAPicture(t *testing.T) {
	var stdout, stderr bytes.Buffer

	name := filepath.Join(t.TempDir(), "picture.svg")
	require.Zero(t, command([]string{"-dir", ".", "-picture", name}, &stdout, &stderr), stderr.String())

	picture, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Contains(t, string(picture), "<title>16 nodes, ")
	require.Contains(t, string(picture), `class="trouble"`)

	require.Equal(t, exitFailure, command([]string{"-dir", ".", "-picture", t.TempDir()}, &stdout, &stderr))
	require.Contains(t, stderr.String(), "picture: ")
}
