package main

import (
	"bytes"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func TestMain_PrintsTheResultOfEachNode(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(capture(t, main)), "\n")
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(last(a), last(b)) })

	require.Len(t, lines, 3)
	require.Regexp(t, `^grpc://127\.0\.0\.1:\d+ says hello, I am alice$`, lines[0])
	require.Regexp(t, `^grpc://127\.0\.0\.1:\d+ says hello, I am bob$`, lines[1])

	// What comes first: the outcome of the request, or the news that nobody is there.
	require.Regexp(t, `^grpc://nobody:1: (not delivered|lost): .`, lines[2])
}

// last returns the last word of a line.
func last(line string) string {
	return line[strings.LastIndex(line, " ")+1:]
}

// capture returns what the printer prints.
func capture(t *testing.T, printer func()) string {
	t.Helper()

	read, write, err := os.Pipe()
	require.NoError(t, err)

	before := os.Stdout
	os.Stdout = write

	defer func() { os.Stdout = before }()

	// It is far less than a pipe holds.
	printer()
	require.NoError(t, write.Close())

	printed, err := io.ReadAll(read)
	require.NoError(t, err)
	require.NoError(t, read.Close())

	return string(printed)
}

// The README shows the program as it is.
func TestREADME_ShowsTheProgram(t *testing.T) {
	program, err := os.ReadFile("main.go")
	require.NoError(t, err)

	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)

	require.True(t, bytes.Contains(readme, append([]byte("```go\n"), append(program, "```\n"...)...)),
		"README.md does not contain examples/hello/main.go as it is")
}
