package host_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/serde"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
)

// exampleLines is how long the overlay of the example may be.
const exampleLines = 80

// An overlay of one's own takes 80 lines, without imports, comments and empty lines.
func TestExample_OverlayIsShort(t *testing.T) {
	data, err := os.ReadFile("example_overlay_test.go")
	require.NoError(t, err)

	before, rest, _ := strings.Cut(string(data), "import (\n")
	_, code, _ := strings.Cut(rest, "\n)\n")
	lines := 0

	for line := range strings.Lines(before + code) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "//") {
			lines++
		}
	}

	require.Greater(t, lines, exampleLines/2)
	require.LessOrEqual(t, lines, exampleLines)
}

// Promise L3: the overlay of the example honours the context of Stream at a root that accepts the stream and
// sends no header, and so does a stop during the set-up.
func TestExample_MuteRootKeepsNobodyForever(t *testing.T) {
	for name, tc := range map[string]struct {
		end  func(cancel context.CancelFunc, n Node) error
		want error
	}{
		"the context ends": {func(cancel context.CancelFunc, _ Node) error { cancel(); return nil }, context.Canceled},
		"the node stops":   {func(_ context.CancelFunc, n Node) error { return n.Stop() }, host.ErrStopped},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				overlay := make(Overlay)
				n := overlay.Start("a:1")
				rpc := mino.MustCreateRPC(n, "double", doubler{}, numbers{})
				overlay["mute:1"] = bufconn.Listen(1 << 20)
				t.Cleanup((&sessiontest.Peer{NoHeader: true}).Serve(overlay["mute:1"]))

				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()

				ended := make(chan error, 1)

				time.AfterFunc(time.Second, func() { ended <- tc.end(cancel, n) })

				begin := time.Now()
				_, _, err := rpc.Stream(ctx, mino.NewAddresses(session.NewAddress("grpc://mute:1")))
				require.ErrorIs(t, err, tc.want)
				require.Equal(t, time.Second, time.Since(begin))
				require.NoError(t, <-ended)
				require.NoError(t, n.Stop())
			})
		})
	}
}

// sleeper answers after a minute.
type sleeper struct{ doubler }

func (sleeper) Process(mino.Request) (serde.Message, error) {
	time.Sleep(time.Minute)

	return nil, errors.New("nobody waits any more")
}

// Promise L3: Call ends with its context, and with the node.
func TestExample_CallEndsWithItsContextAndItsNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		overlay := make(Overlay)
		a, b := overlay.Start("a:1"), overlay.Start("b:1")
		rpc := mino.MustCreateRPC(a, "double", sleeper{}, numbers{})
		mino.MustCreateRPC(b, "double", sleeper{}, numbers{})

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()

		answers, err := rpc.Call(ctx, number(1), mino.NewAddresses(b.GetAddress()))
		require.NoError(t, err)
		_, err = (<-answers).GetMessageOrError()
		require.Equal(t, codes.DeadlineExceeded, status.Code(err))

		answers, err = rpc.Call(t.Context(), number(1), mino.NewAddresses(b.GetAddress()))
		require.NoError(t, err)
		require.NoError(t, a.Stop())
		_, err = (<-answers).GetMessageOrError()
		require.Error(t, err)

		// The handlers of b do not end in time.
		require.EqualError(t, b.Stop(), `2 tasks of the node have not ended: call handler of "double" for 6s, `+
			`call handler of "double" for 5s`)
		time.Sleep(time.Minute)
	})
}

// A procedure with another name, or in another segment, is another one.
func TestExample_HasSegments(t *testing.T) {
	overlay := make(Overlay)
	n := overlay.Start("a:1")

	defer func() { require.NoError(t, n.Stop()) }()

	mino.MustCreateRPC(n, "double", doubler{}, numbers{})
	mino.MustCreateRPC(n.WithSegment("more"), "double", doubler{}, numbers{})

	_, err := n.CreateRPC("double", doubler{}, numbers{})
	require.Error(t, err)
	_, err = n.WithSegment("no segment").CreateRPC("double", doubler{}, numbers{})
	require.Error(t, err)
}
