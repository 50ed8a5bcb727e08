package worlds_test

import (
	"io"
	"slices"
	"strconv"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/serde/json"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
)

// take records a frame of the session.
func (n *neighbour) take(frame *ptypes.Packet) {
	n.mu.Lock()
	defer n.mu.Unlock()

	if frame.GetGoodbye() {
		n.goodbyes++
	}

	if before := len(n.told) > 0 && n.told[len(n.told)-1]; before != frame.GetCut() {
		n.told = append(n.told, frame.GetCut())
	}

	switch number := int(frame.GetFrame()); {
	case number == 0:
		n.signs++
	case number <= len(n.got):
		n.repeats++
	case number == len(n.got)+1:
		n.got = append(n.got, frame)
	default:
		n.Errorf("frame %d after %d", number, len(n.got))
	}
}

// block makes the neighbour stop reading until unblock. The stream still has room for one
// frame.
func (n *neighbour) block() {
	n.mu.Lock()
	defer n.mu.Unlock()

	n.blocked, n.room, n.read = make(chan struct{}), true, len(n.got)
}

// wait blocks a write while the stream has no room for it.
func (n *neighbour) wait() {
	n.mu.Lock()
	blocked, room := n.blocked, n.room
	n.room = false
	n.mu.Unlock()

	if blocked != nil && !room {
		<-blocked
	}
}

func (n *neighbour) unblock() {
	n.mu.Lock()
	defer n.mu.Unlock()

	close(n.blocked)
	n.blocked = nil
}

// confirmed returns the number of the last frame that the neighbour has read.
func (n *neighbour) confirmed() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()

	if n.blocked != nil {
		return uint64(n.read)
	}

	return uint64(len(n.got))
}

// feed gives the session a frame, and returns when the session reads it.
func (n *neighbour) feed(frame *ptypes.Packet) {
	frame.Received, frame.Cut = n.confirmed(), n.cut

	if len(frame.GetParcels())+len(frame.GetReceipts())+len(frame.GetDelivered()) > 0 {
		n.sent = append(n.sent, frame)
		frame.Frame = uint64(len(n.sent))
	}

	n.current().Feed(proto.CloneOf(frame))
}

// turn says, as a parent, whether its own way up is cut.
func (n *neighbour) turn(cut bool) {
	n.cut = cut
	n.feed(&ptypes.Packet{})
	synctest.Wait()
}

// heard returns what the session has told about its way up.
func (n *neighbour) heard() []bool {
	n.mu.Lock()
	defer n.mu.Unlock()

	return slices.Clone(n.told)
}

// repeat sends again all frames after the last one that the session has received.
func (n *neighbour) repeat(received uint64) {
	for _, frame := range n.sent[received:] {
		frame.Received, frame.Cut = n.confirmed(), n.cut
		n.current().Feed(proto.CloneOf(frame))
	}
}

// send gives the session a message of node z, and returns its parcel.
func (n *neighbour) send(sequence uint64, to ...mino.Address) *ptypes.Parcel {
	parcel := n.parcel(sequence, to...)
	n.feed(&ptypes.Packet{Parcels: []*ptypes.Parcel{parcel}})

	return parcel
}

// deliver tells the session that its parcels have reached all their destinations.
func (n *neighbour) deliver(parcels ...*ptypes.Parcel) {
	for _, parcel := range parcels {
		n.feed(&ptypes.Packet{Delivered: []uint64{parcel.GetId()}})
	}
}

// parcel returns a parcel with a message of node z, whose text is its sequence.
func (n *neighbour) parcel(sequence uint64, to ...mino.Address) *ptypes.Parcel {
	return n.parcelOf(addr("z"), sequence, to...)
}

// parcelOf is parcel for a message of any source.
func (n *neighbour) parcelOf(source mino.Address, sequence uint64, to ...mino.Address) *ptypes.Parcel {
	text := strconv.FormatUint(sequence, 10)

	data, err := n.world.table(3, source).Make(source, to, []byte(text)).Serialize(json.NewContext())
	require.NoError(n, err)

	n.parcels++

	return &ptypes.Parcel{
		Id: n.parcels, Origin: []byte("0123456789abcdef"), Sequence: sequence,
		HopLimit: 10, BudgetMs: 30_000, Body: data,
	}
}

// live gives a sign of life each second, until the test ends.
func (n *neighbour) live() {
	stop, stopped := make(chan struct{}), make(chan struct{})

	go func() {
		defer close(stopped)

		for {
			select {
			case <-time.After(time.Second): // Virtual time.
				n.feed(&ptypes.Packet{})
			case <-stop:
				return
			}
		}
	}()

	n.cleanup = append(n.cleanup, func() {
		close(stop)
		n.current().End(io.EOF)
		<-stopped
	})
}

// frames returns the numbered frames of the session.
func (n *neighbour) frames() []*ptypes.Packet {
	n.mu.Lock()
	defer n.mu.Unlock()

	return slices.Clip(n.got)
}

// received returns the parcels of the session.
func (n *neighbour) received() []*ptypes.Parcel {
	var parcels []*ptypes.Parcel
	for _, frame := range n.frames() {
		parcels = append(parcels, frame.GetParcels()...)
	}

	return parcels
}

// sequences returns the sequence numbers of the session's parcels.
func (n *neighbour) sequences() []uint64 {
	parcels := n.received()
	sequences := make([]uint64, len(parcels))

	for i, parcel := range parcels {
		sequences[i] = parcel.GetSequence()
	}

	return sequences
}
