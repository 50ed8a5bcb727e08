package frames

import (
	"encoding/binary"
	"maps"
	"slices"

	"github.com/minogrpc/session/internal/fifo"
	"github.com/minogrpc/session/internal/parcel"
	"github.com/minogrpc/session/ptypes"
)

// clone returns a copy of a machine that shares nothing with it that either may change.
// copyOf returns the copy of a parcel.
func (m *Machine) clone(box *parcel.Box, copyOf func(*parcel.Parcel) *parcel.Parcel) *Machine {
	c := *m
	c.Box = box
	c.spare, c.answers, c.arrivals = nil, nil, nil

	c.order.small = cloneFifo(m.order.small, copyOf)
	c.order.large = cloneFifo(m.order.large, copyOf)
	c.order.behind = maps.Clone(m.order.behind)

	if m.order.leaving != nil {
		c.order.leaving = copyOf(m.order.leaving)
	}

	if t := m.transfer; t != nil {
		c.transfer = &transfer{
			parcel: copyOf(t.parcel), wire: copyWire(t.wire), id: t.id, offset: t.offset, header: t.header,
			urgent: t.urgent,
		}
	}

	c.receipts, c.delivered = slices.Clone(m.receipts), slices.Clone(m.delivered)
	c.partial.data = slices.Clone(m.partial.data)

	c.unread = cloneFifo(m.unread, func(n numbered) numbered {
		for i, p := range n.parcels {
			if i == 0 {
				n.parcels = slices.Clone(n.parcels)
			}

			n.parcels[i] = copyOf(p)
		}

		return n
	})

	return &c
}

func cloneFifo[T any](f fifo.List[T], copyOf func(T) T) (c fifo.List[T]) {
	for i := range f.Len() {
		c.Push(copyOf(*f.At(i)))
	}

	return c
}

// copyFrame returns a frame as it travels: nobody changes the copy with the original.
func copyFrame(f *ptypes.Packet) *ptypes.Packet {
	c := &ptypes.Packet{
		Frame: f.GetFrame(), Received: f.GetReceived(), Goodbye: f.GetGoodbye(), Delivered: f.GetDelivered(),
		Receipts: f.GetReceipts(), Cut: f.GetCut(), Ask: f.GetAsk(), Read: f.GetRead(), QuietMs: f.GetQuietMs(),
		Probe: f.GetProbe(), Probed: f.GetProbed(),
	}

	for _, p := range f.GetParcels() {
		c.Parcels = append(c.Parcels, copyWire(p))
	}

	for _, k := range f.GetChunks() {
		c.Chunks = append(c.Chunks, &ptypes.Chunk{
			Id: k.GetId(), Offset: k.GetOffset(), Total: k.GetTotal(), Data: k.GetData(),
		})
	}

	return c
}

func copyWire(p *ptypes.Parcel) *ptypes.Parcel {
	return &ptypes.Parcel{
		Id: p.GetId(), Sequence: p.GetSequence(), Chunked: p.GetChunked(), Header: p.GetHeader(), Body: p.GetBody(),
		HeaderSize: p.GetHeaderSize(),
	}
}

// sketch is what distinguishes one state from another, in bytes.
type sketch []byte

func (p *sketch) num(list ...int) {
	for _, n := range list {
		*p = binary.AppendVarint(*p, int64(n))
	}
}

func (p *sketch) flags(list ...bool) {
	bits := 0

	for i, set := range list {
		if set {
			bits |= 1 << i
		}
	}

	p.num(bits)
}

// frame adds a frame. Its numbers are told from those of the last frames that both ends know
// to have arrived: what they are beyond that changes nothing.
func (p *sketch) frame(f *ptypes.Packet, own, other uint64) {
	number := 0
	if f.GetFrame() > 0 {
		number = int(f.GetFrame()) - int(own)
	}

	p.num(number, int(f.GetReceived())-int(other), len(f.GetParcels()), len(f.GetChunks()))
	p.num(len(f.GetDelivered()), len(f.GetReceipts()))
	p.flags(f.GetGoodbye(), f.GetCut(), f.GetAsk())

	for _, parcel := range f.GetParcels() {
		p.num(int(parcel.GetId()), int(parcel.GetChunked()), len(parcel.GetBody()))
	}

	for _, c := range f.GetChunks() {
		p.num(int(c.GetId()), int(c.GetOffset()), len(c.GetData()))
	}

	for _, r := range f.GetReceipts() {
		p.num(int(r.GetParcelId()))
	}

	for _, id := range f.GetDelivered() {
		p.num(int(id))
	}
}

func (p *sketch) parcels(f fifo.List[*parcel.Parcel]) {
	p.num(f.Len())

	for i := range f.Len() {
		p.num(int((*f.At(i)).ID))
	}
}

// pace adds what decides how much is written, and when that is acknowledged. The counts of
// bytes and of frames that have been read only grow, and nothing depends on them while the time
// stands still.
func (p *sketch) pace(m *Machine) {
	p.flags(m.asked, m.nudge, m.Paced)

	if m.Paced {
		// A window that is larger than all that is sent does not matter.
		p.num(min(m.window, 16*tinyWindow), m.unasked, m.asks, m.order.limit)
	}
}

// machine adds all that decides what a machine does next, but for the time: that stands
// still here.
func (p *sketch) machine(m, other *Machine) {
	p.flags(m.connected, m.failed, m.beat, m.farewell, m.left, m.over, m.transfer != nil, m.order.leaving != nil)
	p.flags(m.isCut, m.told, m.news)
	p.pace(m)
	p.num(m.mute, int(m.epoch), int(m.chunks))
	p.num(m.unsettled, m.resend, int(m.received)-int(other.acknowledged()), m.unanswered)
	p.num(int(m.partial.id), m.partial.size, m.unread.Len(), len(m.receipts), len(m.delivered))
	p.parcels(m.order.small)
	p.parcels(m.order.large)

	if t := m.transfer; t != nil {
		p.num(int(t.parcel.ID), t.offset)
	}

	if m.order.leaving != nil {
		p.num(int(m.order.leaving.ID))
	}

	for i := range m.unread.Len() {
		n := m.unread.At(i)
		// What it says to have received is set when it is written.
		p.frame(n.frame, m.acknowledged(), n.frame.GetReceived())
		p.num(len(n.parcels), int(n.acked-m.acked))
		p.flags(n.asked)
	}

	for _, r := range m.receipts {
		p.num(int(r.GetParcelId()))
	}

	for _, id := range m.delivered {
		p.num(int(id))
	}
}
