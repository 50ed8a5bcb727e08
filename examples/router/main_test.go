package main

import (
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/router/kit"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func TestStar_IsConformant(t *testing.T) {
	sessiontest.TestRouter(t, func(f mino.AddressFactory) router.Router { return Star{kit.NewMessages(f, 0)} })
}

// All but the root, whose parent is the orchestrator, are children of the root.
func TestMain_PrintsAStar(t *testing.T) {
	read, write, err := os.Pipe()
	require.NoError(t, err)

	before := os.Stdout
	os.Stdout = write

	defer func() { os.Stdout = before }()

	main()
	require.NoError(t, write.Close())

	printed, err := io.ReadAll(read)
	require.NoError(t, err)
	require.NoError(t, read.Close())

	lines := regexp.MustCompile(`(?m)^(\S+) is a child of (\S+)$`).FindAllStringSubmatch(string(printed), -1)
	require.Len(t, lines, 4, string(printed))

	var root string

	for _, line := range lines {
		if strings.HasPrefix(line[2], "Orchestrator:") {
			root = line[1]
		}
	}

	for _, line := range lines {
		require.True(t, line[1] == root || line[2] == root, string(printed))
	}
}

// The documentation of the kit shows the same star.
func TestStar_IsThatOfTheKit(t *testing.T) {
	star, err := os.ReadFile("star.go")
	require.NoError(t, err)

	shown, err := os.ReadFile("../../router/kit/example_star_test.go")
	require.NoError(t, err)

	_, code, found := strings.Cut(string(star), "\n)\n")
	require.True(t, found)
	require.Contains(t, string(shown), code)
}
