package sessiontest_test

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/router/tree"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
)

// childVariable is set in the process whose test fails.
const childVariable = "SESSIONTEST_CHILD"

// noTables is a router that makes no tables at the root.
type noTables struct{ router.Router }

func (noTables) New(mino.Players, mino.Address) (router.RoutingTable, error) { // the method
	return nil, errors.New("no tables today")
}

// TestChild fails in the process that TestTestRouter_NamesTheCallAndTheMethod starts.
func TestChild(t *testing.T) {
	if os.Getenv(childVariable) == "" {
		return
	}

	sessiontest.TestRouter(t, func(f mino.AddressFactory) router.Router { return noTables{tree.NewRouter(f)} })
}

// lineOf returns the number of the only line of this file that contains the text.
func lineOf(t *testing.T, text string) string {
	t.Helper()

	source, err := os.ReadFile("router_line_test.go")
	require.NoError(t, err)

	before, _, found := strings.Cut(string(source), text)
	require.True(t, found)

	return strconv.Itoa(strings.Count(before, "\n") + 1)
}

func TestTestRouter_NamesTheCallAndTheMethod(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChild$")
	cmd.Env = append(os.Environ(), childVariable+"=1")

	out, err := cmd.CombinedOutput()
	require.Error(t, err)

	want := "router_line_test.go:" + lineOf(t, "	sessiontest."+"TestRouter(t") +
		": (sessiontest_test.noTables).New([grpcs://player:2001 grpcs://player:2002 grpcs://player:2003], " +
		"grpcs://player:2000) at router_line_test.go:" + lineOf(t, "{ // the "+"method") + ": no tables today"
	require.Contains(t, string(out), want)

	// All the subtests that need a table of a root say so, that in a bubble too.
	require.Contains(t, string(out), "--- FAIL: TestChild/LostNeighbourIsTriedAgain")
	require.Equal(t, strings.Count(string(out), "--- FAIL: TestChild/"),
		strings.Count(string(out), "    router_line_test.go:"), string(out))
}
