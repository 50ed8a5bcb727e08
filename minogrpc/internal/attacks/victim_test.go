//go:build linux

package attacks_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"syscall"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/router/tree"
	"github.com/minogrpc/session/serde"
	// An application may register a format for the whole process.
	_ "google.golang.org/grpc/encoding/gzip"
)

// setup is how a node begins.
type setup struct {
	NoTLS bool `json:"noTLS"`
	// Memory is the budget of the node in bytes, or 0 for the default.
	Memory int `json:"memory"`
	// Players are those of the stream of the honest node.
	Players []identity `json:"players"`
}

// identity is a node as the others have to know it.
type identity struct {
	Address []byte `json:"address"`
	Chain   []byte `json:"chain"`
}

// question is what the victim is asked.
type question struct {
	// Know is a node that it has to know from now on.
	Know *identity `json:"know"`
	// Token asks for a token.
	Token bool `json:"token"`
}

// state is what the victim answers: what it takes after a collection.
type state struct {
	// Live is the memory that is in use, and Resident what the process has, in bytes.
	Live     int64 `json:"live"`
	Resident int64 `json:"resident"`
	// CPU is the time of the processor so far.
	CPU time.Duration `json:"cpu"`
	// Descriptors are the open files and connections.
	Descriptors int `json:"descriptors"`
	// Token is what was asked for.
	Token string `json:"token"`
}

// procedure is what the honest node calls. The handler of deafProcedure reads nothing.
const (
	procedure     = "echo"
	deafProcedure = "deaf"
)

func runVictim(in *json.Decoder, out *json.Encoder) {
	node, _, me := startNode(in)
	mustNot(out.Encode(me))

	for {
		var q question
		if errors.Is(in.Decode(&q), io.EOF) {
			break
		}

		if q.Know != nil {
			know(node, *q.Know)
		}

		s := measure()
		if q.Token {
			s.Token = node.GenerateToken(time.Hour)
		}

		mustNot(out.Encode(s))
	}

	// The streams of an attacker that reads nothing end by time, on a machine that is busy.
	mustNot(node.GracefulStop())
}

// startNode starts a node as it is told to.
func startNode(in *json.Decoder) (*minogrpc.Minogrpc, mino.RPC, identity) {
	var s setup

	mustNot(in.Decode(&s))

	var opts []minogrpc.Option
	if s.NoTLS {
		opts = append(opts, minogrpc.NoTLS())
	}

	if s.Memory > 0 {
		// A message fits into the share of a peer.
		opts = append(opts, minogrpc.WithMemory(s.Memory), minogrpc.WithMaxMessageSize(s.Memory/4))
	}

	node := must(minogrpc.NewMinogrpc(minogrpc.ParseAddress("127.0.0.1", 0), nil,
		tree.NewRouter(minogrpc.NewAddressFactory()), opts...))
	rpc := must(node.CreateRPC(procedure, echo{}, texts{}))
	must(node.CreateRPC(deafProcedure, deaf{}, texts{}))

	for _, peer := range s.Players {
		know(node, peer)
	}

	return node, rpc, identity{must(node.GetAddress().MarshalText()), node.GetCertificateChain()}
}

// know stores the certificate of a node.
func know(node *minogrpc.Minogrpc, peer identity) {
	if len(peer.Chain) > 0 {
		mustNot(node.GetCertificateStore().Store(addressOf(peer), peer.Chain))
	}
}

func addressOf(peer identity) mino.Address {
	return minogrpc.NewAddressFactory().FromText(peer.Address)
}

// measure returns what the process takes after a collection.
func measure() state {
	debug.FreeOSMemory()

	// What has become garbage since the collection began is not what the victim holds.
	inUse := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(inUse)

	var usage syscall.Rusage

	mustNot(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))

	var pages [2]int64

	text := must(os.ReadFile("/proc/self/statm"))
	must(fscan(text, &pages[0], &pages[1]))

	return state{
		Live:        int64(inUse[0].Value.Uint64() + inUse[1].Value.Uint64()),
		Resident:    pages[1] * int64(os.Getpagesize()),
		CPU:         time.Duration(usage.Utime.Nano() + usage.Stime.Nano()),
		Descriptors: len(must(os.ReadDir("/proc/self/fd"))),
	}
}

func mustNot(err error) {
	must(struct{}{}, err)
}

// echo answers everything with the same message, until the stream ends.
type echo struct{}

// Process implements mino.Handler.
func (echo) Process(req mino.Request) (serde.Message, error) {
	return req.Message, nil
}

// Stream implements mino.Handler.
func (echo) Stream(out mino.Sender, in mino.Receiver) error {
	for {
		from, msg, err := in.Recv(context.Background())
		if err != nil {
			return err
		}

		out.Send(msg, from)
	}
}

// deaf reads nothing.
type deaf struct {
	echo
}

// Stream implements mino.Handler.
func (deaf) Stream(_ mino.Sender, in mino.Receiver) error {
	<-in.(session.Lifecycle).Done()

	return nil
}

// text is the message of these tests.
type text string

// Serialize implements serde.Message.
func (t text) Serialize(serde.Context) ([]byte, error) {
	return []byte(t), nil
}

// texts is the factory for text.
type texts struct{}

// Deserialize implements serde.Factory.
func (texts) Deserialize(_ serde.Context, data []byte) (serde.Message, error) {
	return text(data), nil
}
