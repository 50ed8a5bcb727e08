package link_test

import (
	"fmt"
	"io"
	"testing"
	"testing/synctest"

	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/ptypes"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
)

// maxHostile is what a hostile neighbour may make a link hold, in bytes.
const maxHostile = 1 << 20

// hostile is a link whose neighbour the test plays.
type hostile struct {
	*end

	wire *wire
	over chan struct{}
}

func newHostile() *hostile {
	h := &hostile{end: newEnd("victim"), wire: newWire(endless), over: make(chan struct{})}

	cfg := h.config()
	h.link = link.Attached(cfg, link.Frames{
		Stream: h.wire.far, MaxFrame: maxFrame, MaxBody: maxHostile / 2, Encode: encode,
	})

	go func() {
		defer close(h.over)

		h.link.Serve(h.wire.far)
	}()

	return h
}

// play sends a frame, as long as the link reads them.
func (h *hostile) play(frame *ptypes.Packet) bool {
	// What the link writes is read, so that it does not wait for that.
	for {
		select {
		case <-h.wire.near.in.frames:
			continue
		default:
		}

		break
	}

	err := h.wire.near.Send(frame)
	synctest.Wait()

	select {
	case <-h.over:
		return false
	default:
		return err == nil
	}
}

// wrong returns what a hostile neighbour has achieved.
func (h *hostile) wrong() (all []string) {
	h.mu.Lock()
	defer h.mu.Unlock()

	for _, p := range h.added {
		if n := h.settled[p.Sequence]; n != 1 {
			all = append(all, fmt.Sprintf("parcel %d has %d outcomes", p.Sequence, n))
		}
	}

	if h.released != 1 || h.wire.far.released.Load() != 1 {
		all = append(all, fmt.Sprintf("released %d and %d times", h.released, h.wire.far.released.Load()))
	}

	if h.budget.Used() != 0 {
		all = append(all, fmt.Sprintf("%d bytes are still counted", h.budget.Used()))
	}

	return all
}

// conversation is a sequence of frames as it travels: each after its length, in one
// byte.
func conversation(frames ...*ptypes.Packet) []byte {
	var all []byte

	for _, frame := range frames {
		data, err := proto.Marshal(frame)
		if err != nil || len(data) > 255 {
			panic("a seed that is no frame")
		}

		all = append(append(all, byte(len(data))), data...)
	}

	return all
}

// next reads a frame of a conversation. Those that are none are left out.
func next(script []byte) (frame *ptypes.Packet, rest []byte) {
	n := min(int(script[0]), len(script)-1)
	frame, rest = &ptypes.Packet{}, script[1+n:]

	if proto.Unmarshal(script[1:1+n], frame) != nil {
		return nil, rest
	}

	return frame, rest
}

// seeds are conversations that are rather well-formed.
func seeds() [][]byte {
	body := []byte("hello")

	return [][]byte{
		conversation(
			&ptypes.Packet{Frame: 1, Parcels: []*ptypes.Parcel{{Id: 1, Sequence: 1, Body: body}}},
			&ptypes.Packet{Frame: 2, Received: 1, Delivered: []uint64{1, 1, 2, 99}},
			&ptypes.Packet{Goodbye: true, Received: 1},
		),
		conversation(
			&ptypes.Packet{Frame: 1, Chunks: []*ptypes.Chunk{{Id: 1, Total: 1 << 40, Data: body}}},
			&ptypes.Packet{Frame: 2, Chunks: []*ptypes.Chunk{{Id: 1, Offset: 5, Total: 10, Data: body}}},
			&ptypes.Packet{Frame: 3, Parcels: []*ptypes.Parcel{{Id: 1, Chunked: 1, Body: body}}},
		),
		conversation(
			&ptypes.Packet{Frame: 1, Chunks: []*ptypes.Chunk{{Id: 1, Total: maxHostile / 2, Data: body}}},
			&ptypes.Packet{Frame: 2, Chunks: []*ptypes.Chunk{{Id: 2}, {Id: 3, Data: body}}},
			&ptypes.Packet{Frame: 3, Parcels: []*ptypes.Parcel{{Id: 1, Chunked: 2}}},
		),
		conversation(
			&ptypes.Packet{Frame: 1, Receipts: []*ptypes.Receipt{
				{ParcelId: 1, Reached: []uint32{0, 1 << 31}},
				{ParcelId: 1, Last: true},
				{ParcelId: 1, Last: true, Failures: []*ptypes.Failure{{}}},
			}},
			&ptypes.Packet{Frame: 1},
		),
		conversation(&ptypes.Packet{Frame: 1, Receipts: []*ptypes.Receipt{{ParcelId: 1, Reached: []uint32{0, 9}}}}),
		conversation(&ptypes.Packet{Received: 1 << 63}),
		conversation(&ptypes.Packet{Frame: 3, Parcels: []*ptypes.Parcel{{}}}),
		conversation(&ptypes.Packet{}, &ptypes.Packet{Serialized: body}, &ptypes.Packet{Frame: 1}),
	}
}

// Promises O3, S3: whatever frames a neighbour sends, every parcel of ours has one
// outcome, what is held for the neighbour is bounded, and nothing is left in the end.
func FuzzDuplex_HostileFrames(f *testing.F) {
	for _, seed := range seeds() {
		f.Add(seed)
	}

	f.Fuzz(func(t *testing.T, script []byte) {
		synctest.Test(t, func(t *testing.T) {
			h := newHostile()
			h.send(t, "o", "x", 10)
			h.send(t, "o", "y", 3*maxFrame)

			for going := true; going && len(script) > 0; {
				var frame *ptypes.Packet

				if frame, script = next(script); frame != nil {
					going = h.play(frame)
				}

				require.LessOrEqual(t, h.budget.Used(), maxHostile+4*maxFrame)
			}

			h.link.Fail(io.ErrUnexpectedEOF)
			h.link.Close()
			<-h.link.Parted()
			h.wire.far.leave(io.EOF)
			pass(grace)
			require.Empty(t, h.wrong())
		})
	})
}
