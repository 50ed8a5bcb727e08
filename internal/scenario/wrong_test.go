package scenario_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/minogrpc/session/internal/scenario"
	"github.com/stretchr/testify/require"
)

// A scenario that expects what is not so must fail, say what is, and draw what has happened.
func TestPlay_NoticesWhatIsNotSo(t *testing.T) {
	const about = "# About.\nmode plain\nheight 2\ntree r(a b c d e)\n" +
		"peer d never acks\npeer e is absent\noption outcome 5s\n"

	for _, wrong := range []struct{ steps, want string }{
		{"at 0s open\n fails: \"so\"",
			`line 8, at 0s: open: it succeeds, but should fail`},
		{"at 0s refuse dials to r\nat 0s open",
			`line 9, at 0s: open: open stream at grpc://r:1`},
		{"at 0s send m to a",
			`line 8, at 0s: orchestrator has no part in the stream`},
		{"at 0s open\nat 1s send m to e",
			`m to "e": unreachable, told by grpc://r:1`},
		{"at 0s open\nat 1s send m to a\n a: timeout",
			`m to "a": delivered`},
		{"at 0s open\nat 1s send m to e\n e: unreachable, told by a",
			`m to "e": told by grpc://r:1`},
		{"at 0s open\nat 1s send m to e\n e: unreachable, after 1s",
			`m to "e": unreachable, told by grpc://r:1`},
		{"at 0s open\nat 1s send m to a\n settled: after 1s",
			`m: the outcomes took 0s`},
		{"at 0s open\nat 1s send m to a\n a: delivered, after 1s",
			`m to "a": delivered after 0s`},
		{"at 0s open\nat 1s send m to a\nat 2s expect a received 2",
			`a has received 1 messages`},
		{"at 0s open\nat 1s send m to a\nat 2s expect handlers of a",
			`handlers of [a r], not [a]`},
		{"at 0s open\nat 1s send m to a e\n e: unreachable\nat 2s expect lost nobody",
			`lost [e], not []`},
		{"at 0s open\nat 1s expect end cleanly",
			`ended: false`},
		{"at 0s open\nat 2s send m to a\nat 3s expect no packets since 1s",
			`a packet was sent at 2s`},
		{"at 0s open\nat 2s expect fewer than 3 goroutines",
			`goroutines`},
		{"at 0s delay all 1s\nat 0s open\nat 1s cancel",
			`it is too late for this`},
		{"at 0s open\nat 1s start r",
			`r is running`},
	} {
		sc, err := scenario.Parse("wrong.txt", []byte(about+wrong.steps), scenario.Duplex)
		require.NoError(t, err)

		synctest.Test(t, func(t *testing.T) {
			failures := strings.Join(play(t, sc, scenario.Plain, scenario.Duplex), "\n")
			require.Contains(t, failures, wrong.want, wrong.steps)

			picture, err := os.ReadFile(filepath.Join(t.ArtifactDir(), "traffic.svg"))
			require.NoError(t, err)
			require.Contains(t, string(picture), "</svg>")
		})
	}
}
