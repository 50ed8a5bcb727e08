package minogrpc_test

import (
	"context"
	"encoding/json"
	"flag"
	"io"
	"os"
	"testing"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/minogrpc/certs"
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
		transport(),
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

// recordFlag makes that node tell what its handler has received, in place of an answer.
var recordFlag = flag.Bool("record", false, "whether the node writes down what it receives")

// recording is a handler that writes down what it has received. The pipe keeps that when the process
// dies right after.
func recording(to *json.Encoder) handler {
	return handler{stream: func(_ mino.Sender, in mino.Receiver) error {
		for {
			_, msg, err := in.Recv(context.Background())
			if err != nil {
				return err
			}

			if err = to.Encode(msg); err != nil {
				return err
			}
		}
	}}
}

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

// identity is a node as another process is told of it, in one line of JSON.
type identity struct {
	Address []byte          `json:"address"`
	Chain   certs.CertChain `json:"chain"`
}

// runChild runs a node, which knows the nodes that the standard input begins with. It
// tells the own one, and ends with that input.
func runChild() {
	in := json.NewDecoder(os.Stdin)

	var peers []identity
	if err := in.Decode(&peers); err != nil {
		panic(err)
	}

	for _, peer := range peers {
		if err := known.Store(minogrpc.NewAddressFactory().FromText(peer.Address), peer.Chain); err != nil {
			panic(err)
		}
	}

	node, err := impatientNode(linked([]minogrpc.Option{silentFor(*livenessFlag)})...)
	if err != nil {
		panic(err)
	}

	told := json.NewEncoder(os.Stdout)
	if *recordFlag {
		mino.MustCreateRPC(node, rpcName, recording(told), texts{})
	} else {
		mino.MustCreateRPC(node, rpcName, echo, texts{})
	}

	addr, _ := node.GetAddress().MarshalText()
	if err := told.Encode(identity{addr, node.GetCertificateChain()}); err != nil {
		panic(err)
	}

	_, _ = io.Copy(io.Discard, os.Stdin)

	if err := node.Stop(); err != nil {
		panic(err)
	}
}
