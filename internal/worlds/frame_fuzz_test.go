package worlds_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/ptypes"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
)

// frameSeeds returns encoded frames that the fuzzing starts from.
func frameSeeds(f *testing.F) [][]byte {
	f.Helper()

	const body = `{"Source":"RkFvOjE=","Dest":["RkFhOjE=","RkFiOjE="],"Message":"aGk="}`

	origin := []byte("0123456789abcdef")
	parcel := &ptypes.Parcel{Id: 1, Origin: origin, Sequence: 1, HopLimit: 2, BudgetMs: 10, Body: []byte(body)}
	failure := &ptypes.Failure{Destination: []byte("FAb:1"), Reason: 99, Hop: []byte("F"), Cause: "why"}
	receipt := &ptypes.Receipt{ParcelId: 1, Failures: []*ptypes.Failure{failure}, Reached: []uint32{0, 9}}

	return encoded(f, []*ptypes.Packet{
		{},
		{Goodbye: true},
		{Frame: 1, Received: 1, Delivered: []uint64{1, 2}},
		{Frame: 1, Parcels: []*ptypes.Parcel{parcel, parcel, {Id: 2, Header: []byte{1, 0, 0}, Body: []byte("hi")}}},
		{Frame: 1, Receipts: []*ptypes.Receipt{receipt}},
		{Frame: 1, Receipts: []*ptypes.Receipt{{ParcelId: 1, Last: true}, {}}},
		{Frame: 1, Receipts: []*ptypes.Receipt{{ParcelId: 1, Reached: []uint32{7, 8, 9, 0}}}},
		{Frame: 1, Chunks: []*ptypes.Chunk{{Id: 1, Total: 1 << 40, Data: []byte("x")}},
			Parcels: []*ptypes.Parcel{{Id: 1, Chunked: 1, Body: []byte("y")}}},
	})
}

// Promise R3: whatever frame a neighbour writes, at either end of a duplex link, waiting sends
// get their outcomes in time, and nothing is left.
func FuzzFrame(f *testing.F) {
	for _, seed := range frameSeeds(f) {
		f.Add(seed, seed)
	}

	f.Fuzz(func(t *testing.T, first, second []byte) {
		frames := []*ptypes.Packet{{}, {}}
		if proto.Unmarshal(first, frames[0]) != nil || proto.Unmarshal(second, frames[1]) != nil {
			return
		}

		inWorld(t, func(t *testing.T, w *world) {
			orchestrator, root := w.rooted()
			sess := w.session(addr("a"))
			parent := w.parent(sess, addr("p"), w.table(1, addr("a")))

			begin := time.Now()
			outcomes := []<-chan error{
				orchestrator.Send(fake.Message("waiting"), addrs("b", "c")...),
				sess.Send(fake.Message("waiting"), addrs("b", "c")...),
			}

			synctest.Wait()

			for _, frame := range frames {
				root.current().Feed(proto.CloneOf(frame))
				parent.current().Feed(proto.CloneOf(frame))
				synctest.Wait()
			}

			for _, errs := range outcomes {
				w.outcomes(errs)
			}

			require.LessOrEqual(t, time.Since(begin), session.DefaultOutcomeTimeout)
		})
	})
}
