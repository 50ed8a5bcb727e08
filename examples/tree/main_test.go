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
		{"one node", []string{"-nodes", "1"}, exitUsage, "-nodes 1: there can be 2 to 100 nodes"},
		{"too many nodes", []string{"-nodes", "101"}, exitUsage, "-nodes 101: there can be 2 to 100 nodes"},
		{"no number of nodes", []string{"-nodes", "many"}, exitUsage, `"many" for flag -nodes`},
		{"kill the root", []string{"-kill", "1"}, exitUsage, "-kill 1: node 1 is the root, and the orchestrator too"},
		{"kill the root by name", []string{"-kill", "root"}, exitUsage, "node 1 is the root"},
		{"kill the orchestrator", []string{"-kill", "orchestrator"}, exitUsage, "node 1 is the root"},
		{"kill nobody", []string{"-kill", "0"}, exitUsage, "-kill 0: there is no such node; they are 2 to 15"},
		{"kill a stranger", []string{"-nodes", "5", "-kill", "6"}, exitUsage, "no such node; they are 2 to 5"},
		{"kill a name", []string{"-kill", "bob"}, exitUsage, `-kill "bob": this is not the number of a node`},
		{"backwards", []string{"-slow", "-1s"}, exitUsage, "-slow -1s: the nodes can count for 0s to 1h0m0s"},
		{"for ever", []string{"-slow", "61m"}, exitUsage, "-slow 1h1m0s: "},
		{"before it begins", []string{"-timeout", "0s"}, exitUsage, "-timeout 0s: nothing can be done"},
		{"no folder", []string{"-dir", "does/not/exist"}, exitFailure, "-dir does/not/exist: list the files"},
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

	require.Zero(t, command([]string{"-dir", ".", "-nodes", "7", "-kill", "3", "-slow", "1ms"}, &stdout, &stderr),
		stderr.String())
	require.Contains(t, stdout.String(), "\nnode 3 has been stopped")
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
	require.Contains(t, string(picture), ">orchestrator</text>")
	require.Contains(t, string(picture), ">node 15</text>")
	require.Contains(t, string(picture), `class="trouble"`)

	stdout.Reset()
	require.Equal(t, exitFailure, command([]string{"-dir", ".", "-picture", t.TempDir()}, &stdout, &stderr))
	require.Contains(t, stderr.String(), "-picture: ")
	require.Empty(t, stdout.String(), "it is said at once")
}
