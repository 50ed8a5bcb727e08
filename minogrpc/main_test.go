package minogrpc_test

import (
	"flag"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/router/tree"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	flag.Parse()

	if os.Getenv(childVariable) != "" {
		runChild()

		return
	}

	goleak.VerifyTestMain(m)
}

// childVariable makes this binary run a node instead of the tests.
const childVariable = "MINOGRPC_TEST_CHILD"

// impatient are options with short deadlines, which a stopped process exceeds.
func impatient() []minogrpc.Option {
	return []minogrpc.Option{
		minogrpc.NoTLS(),
		minogrpc.WithLiveness(time.Second),
		minogrpc.WithSessionOptions(
			// The kernel of a stopped process goes on to answer; its sessions do not.
			session.WithLiveness(session.DefaultLiveness),
			session.WithSetupTimeout(500*time.Millisecond),
			session.WithOutcomeTimeout(2*time.Second),
		),
	}
}

// livenessFlag is the silence bound of the node that this binary is made to run.
var livenessFlag = flag.Duration("liveness", session.DefaultLiveness, "how long the neighbours may be silent")

// silentFor bounds the silence on the duplex links of a node.
func silentFor(d time.Duration) minogrpc.Option {
	return minogrpc.WithSessionOptions(session.WithLiveness(d))
}

// impatientNode starts a node that soon tries a lost one again. The links are those
// that the options choose.
func impatientNode(opts ...minogrpc.Option) (*minogrpc.Minogrpc, error) {
	router := tree.NewRouter(minogrpc.NewAddressFactory(), tree.WithRetryAfter(100*time.Millisecond))

	return minogrpc.NewMinogrpc(minogrpc.ParseAddress("127.0.0.1", 0), nil, router, append(impatient(), opts...)...)
}

// runChild runs a node, tells its address, and ends with the standard input.
func runChild() {
	node, err := impatientNode(linked([]minogrpc.Option{silentFor(*livenessFlag)})...)
	if err != nil {
		panic(err)
	}

	mino.MustCreateRPC(node, rpcName, echo, texts{})
	_, _ = fmt.Fprintln(os.Stdout, node.GetAddress())

	_, _ = io.Copy(io.Discard, os.Stdin)

	if err := node.Stop(); err != nil {
		panic(err)
	}
}
