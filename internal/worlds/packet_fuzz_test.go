package worlds_test

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/serde/json"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
)

// packetSeeds returns encoded packets that the fuzzing starts from.
func packetSeeds(f *testing.F) [][]byte {
	f.Helper()

	const (
		toBoth = `{"Source":"RkFvOjE=","Dest":["RkFhOjE=","RkFiOjE="],"Message":"aGk="}`
		toRoot = `{"Source":"RkFiOjE=","Dest":["T0FvcmNoZXN0cmF0b3I6MQ=="],"Message":""}`
	)

	origin := []byte("0123456789abcdef")
	failure := &ptypes.Failure{Destination: []byte("OAorchestrator:1"), Reason: 99, Hop: []byte("F"), Cause: "why"}

	return encoded(f, []*ptypes.Packet{
		{},
		{Serialized: []byte("null")},
		{Serialized: []byte(toBoth)},
		{Serialized: []byte(toRoot), Origin: origin, Sequence: 1, HopLimit: 1, BudgetMs: 1},
		{Serialized: []byte(toBoth), Origin: origin, Sequence: 1<<64 - 1, HopLimit: 1<<32 - 1, BudgetMs: 1<<32 - 1},
		{Serialized: []byte(toBoth), Origin: origin[:3], Frame: 1},
		{Serialized: []byte(toBoth), Trace: []byte("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")},
		{Receipts: []*ptypes.Receipt{{ParcelId: 1, Last: true}}},
		{Receipts: []*ptypes.Receipt{{ParcelId: 1, Failures: []*ptypes.Failure{failure, failure, {}}}, {}}},
	})
}

// encoded returns the packets in their wire form.
func encoded(f *testing.F, packets []*ptypes.Packet) [][]byte {
	seeds := make([][]byte, len(packets))

	for i, p := range packets {
		data, err := proto.Marshal(p)
		require.NoError(f, err)

		seeds[i] = data
	}

	return seeds
}

// Promise R3: whatever a neighbour sends, in a call or over its stream, gets an answer or an
// error within the outcome deadline, and the session goes on.
func FuzzRecvPacket(f *testing.F) {
	for _, seed := range packetSeeds(f) {
		f.Add(seed)
	}

	f.Fuzz(func(t *testing.T, data []byte) {
		p := &ptypes.Packet{}
		if proto.Unmarshal(data, p) != nil {
			return
		}

		inWorld(t, func(t *testing.T, w *world) {
			w.peer("b", &sessiontest.Peer{})
			sess, stream := w.streamed()

			// The session settles sends without an answer, whatever the packet pretends to be.
			outcomes := sess.Send(fake.Message("waiting"), session.NewOrchestratorAddress(addr("orchestrator")))
			synctest.Wait()

			stream.Feed(proto.CloneOf(p))

			begin := time.Now()
			ack, err := sess.RecvPacket(addr("b"), p)
			require.Equal(t, err == nil, ack != nil)
			require.LessOrEqual(t, len(ack.GetErrors()), len(data))
			w.outcomes(outcomes)
			require.LessOrEqual(t, time.Since(begin), 24*time.Hour)

			ack, err = sess.RecvPacket(addr("b"), w.packet(addr("b"), addr("a")))
			require.NoError(t, err)
			require.Empty(t, ack.GetErrors())
		})
	})
}

// streamed returns the session of a root and a plain stream of its orchestrator, which the test
// feeds.
func (w *world) streamed() (session.Session, *fake.Stream) {
	sess := w.session(addr("a"))
	stream := fake.NewStream(nil)
	relay := session.NewStreamRelay(session.NewOrchestratorAddress(addr("orchestrator")), stream, json.NewContext())
	ready, returned := make(chan struct{}), make(chan struct{})

	go func() {
		defer close(returned)

		sess.Listen(relay, w.table(3, addr("a"), addr("b"), addr("nobody")), ready)
	}()

	<-ready

	w.cleanup = append(w.cleanup, func() {
		stream.End(io.EOF)
		<-returned
	})

	return sess, stream
}
