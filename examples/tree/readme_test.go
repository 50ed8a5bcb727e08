package main

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// shape replaces what differs from run to run, and how wide a column is for it. It leaves out that somebody is waited
// for, as on a slow machine.
func shape(output string) string {
	for _, c := range []struct{ from, to string }{
		{`(?m)^  waiting for .*\n`, ""},
		{`(says: ).*`, "${1}so"},
		{`\d+( files|\n)`, "#$1"},
		{` delivered +\d+ `, " delivered # "},
		{`\d{3,}`, "#"},
		{`[ \t]+`, " "},
	} {
		output = regexp.MustCompile(c.from).ReplaceAllString(output, c.to)
	}

	return strings.TrimSpace(output)
}

// README.md shows a run of `make demo`, from its first line to its last.
func TestREADME_ShowsARun(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)

	_, after, found := strings.Cut(string(readme), "\n## What you see when a node is lost\n")
	require.True(t, found)

	blocks := strings.Split(after, "\n```\n")
	require.Greater(t, len(blocks), 1)

	var stdout, stderr bytes.Buffer

	require.Zero(t, command([]string{"-dir", folder(t)}, &stdout, &stderr), stderr.String())
	require.Equal(t, shape(stdout.String()), shape(blocks[1]), "put the output of make demo into README.md")
}
