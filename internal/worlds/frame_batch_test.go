package worlds_test

import (
	"testing"
	"testing/synctest"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router"
	"github.com/stretchr/testify/require"
)

// madAbout is a table that panics when it is to forward the message with that text.
type madAbout struct {
	chain

	text string
}

func (m madAbout) Forward(p router.Packet) (router.Routes, router.Voids) {
	if string(p.GetMessage()) == m.text {
		panic("by the test")
	}

	return m.chain.Forward(p)
}

// frameOf returns a frame with a parcel of node z for each of the names, in their order.
func (n *neighbour) frameOf(names ...string) *ptypes.Packet {
	frame := &ptypes.Packet{}
	for i, name := range names {
		frame.Parcels = append(frame.Parcels, n.parcel(uint64(i+1), addr(name)))
	}

	return frame
}

// Promises S1, O7: a panic of the table costs the packet that it is about, whose outcome says that it
// was not passed on. The others of the same frame have their true outcomes.
func TestFrame_PanicOfTheTableCostsOnePacket(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, children := w.dialling(addr("a"), "b")
		table := madAbout{chain{gateway: addr("b"), Table: w.table(1, addr("a"), addr("b"))}, "3"}
		parent := w.parent(sess, session.NewOrchestratorAddress(addr("o")), table)

		// The child takes the second before the session ends.
		parent.feed(parent.frameOf("a", "b", "b", "a"))
		synctest.Wait()

		verdicts := parent.verdicts()
		require.Equal(t, verdict{over: true}, verdicts[1])
		require.Equal(t, verdict{
			failed: map[string]ptypes.Reason{"FAb:1": ptypes.Reason_REASON_REJECTED}, over: true,
		}, verdicts[3])
		require.Equal(t, verdict{over: true}, verdicts[4])

		require.NotContains(t, children["b"].sequences(), uint64(3))

		for _, want := range []string{"1", "4"} {
			_, msg := w.recv(sess)
			require.Equal(t, fake.Message(want), msg)
		}

		requirePanicked(t, sess)
	})
}

// Promise S1: a panic of the observer costs no outcome of any packet in the frame.
func TestFrame_PanicOfTheObserverCostsNoOutcome(t *testing.T) {
	for name, observer := range map[string]session.Observer{
		"delivered": {PacketDelivered: func(session.StreamInfo, session.PacketInfo) { panic("by the test") }},
		"depth":     {QueueDepth: func(session.StreamInfo, int, int) { panic("by the test") }},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				sess := w.session(addr("a"), session.WithObserver(observer))
				parent := w.parent(sess, session.NewOrchestratorAddress(addr("o")), w.table(1, addr("a")))

				parent.feed(parent.frameOf("a", "a", "a"))
				synctest.Wait()

				for id := range uint64(3) {
					require.Equal(t, verdict{over: true}, parent.verdicts()[id+1])
				}

				requirePanicked(t, sess)
			})
		})
	}
}

// Promises O1, M2: what a frame brings for this node has an outcome each, and arrives in order and once,
// also what comes twice in the same frame, is refused, or is more than fits into one step.
func TestFrame_EachPacketHasItsOutcome(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess := w.session(addr("a"), session.WithMaxMessageSize(3))
		parent := w.parent(sess, session.NewOrchestratorAddress(addr("o")), w.table(1, addr("a")))

		frame := &ptypes.Packet{}
		for sequence := range uint64(200) {
			once, twice := parent.parcel(sequence+1, addr("a")), parent.parcel(sequence+1, addr("a"))
			frame.Parcels = append(frame.Parcels, once, twice)
		}

		frame.Parcels = append(frame.Parcels, parent.parcel(5000, addr("a")))
		parent.feed(frame)
		synctest.Wait()

		verdicts := parent.verdicts()
		require.Len(t, verdicts, 401)

		for id := range uint64(400) {
			require.Equal(t, verdict{over: true}, verdicts[id+1])
		}

		require.Equal(t, verdict{
			failed: map[string]ptypes.Reason{"FAa:1": ptypes.Reason_REASON_REJECTED}, over: true,
		}, verdicts[401])

		w.requireArrived(sess, func() (all []uint64) {
			for sequence := range uint64(200) {
				all = append(all, sequence+1)
			}

			return all
		}()...)
	})
}
