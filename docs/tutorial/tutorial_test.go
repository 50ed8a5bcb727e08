package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// This file is the only one in the folder that the tutorial does not show.
const ownFile = "tutorial_test.go"

// block is a block of Go in the tutorial, below the name of its file.
var block = regexp.MustCompile("(?ms)^`(\\w+\\.go)`:\n\n```go\n(.*?)^```$")

// A reader who copies every block has exactly these files, which the compiler and the tests have seen.
func TestTutorial_ShowsTheFilesAsTheyAre(t *testing.T) {
	tutorial := read(t, "../tutorial.md")

	files, err := filepath.Glob("*.go")
	require.NoError(t, err)

	shown := make([]string, 0, len(files))
	shown = append(shown, ownFile)

	for _, match := range block.FindAllStringSubmatch(tutorial, -1) {
		require.Equal(t, read(t, match[1]), match[2], "tutorial.md does not show %s as it is", match[1])

		shown = append(shown, match[1])
	}

	require.ElementsMatch(t, files, shown)
	require.Equal(t, len(files)-1, strings.Count(tutorial, "```go\n"), "a block has no file")
}

func TestTutorial_HasTenSteps(t *testing.T) {
	steps := regexp.MustCompile(`(?m)^## (\d+)\. `).FindAllStringSubmatch(read(t, "../tutorial.md"), -1)
	require.Len(t, steps, 10)

	for i, step := range steps {
		require.Equal(t, strconv.Itoa(i+1), step[1])
	}
}

// The program prints what the tutorial says.
func TestMain_PrintsALineForEachNode(t *testing.T) {
	printed := capture(t, main)

	signed := regexp.MustCompile(`(?m)^grpc://127\.0\.0\.1:\d+ signs: [0-9a-f]{16}$`)
	require.Len(t, signed.FindAllString(printed, -1), 7)

	// What comes first: the outcome of the request, or the news that nobody is there.
	require.Regexp(t, `(?m)^grpc://nobody:1: (not delivered|lost): .`, printed)
	require.Equal(t, 8, strings.Count(printed, "\n"))
}

// capture returns what the printer prints.
func capture(t *testing.T, printer func()) string {
	t.Helper()

	from, to, err := os.Pipe()
	require.NoError(t, err)

	before := os.Stdout
	os.Stdout = to

	defer func() { os.Stdout = before }()

	// It is far less than a pipe holds.
	printer()
	require.NoError(t, to.Close())

	printed, err := io.ReadAll(from)
	require.NoError(t, err)
	require.NoError(t, from.Close())

	return string(printed)
}

// read returns the text of a file.
func read(t *testing.T, name string) string {
	t.Helper()

	data, err := os.ReadFile(name)
	require.NoError(t, err)

	return string(data)
}
