// Package parcel has what a link carries: the part of a packet that goes to one
// neighbour, what the neighbour says about it, and the accounts of those that have no
// outcome yet.
package parcel

import (
	"errors"
	"slices"
	"time"

	"github.com/minogrpc/session/internal/memory"
	"github.com/minogrpc/session/internal/pending"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router"
)

// ErrPacket is wrapped by the errors that are about one packet.
var ErrPacket = errors.New("packet refused")

// Header is what all the parts of one packet have in common.
type Header struct {
	// Pending is told the outcomes of the destinations.
	Pending *pending.Set

	// From is the address text of the neighbour that the packet came from, empty
	// for one of our own.
	From string

	// Account is the budget of the neighbour that the packet came from, or nil for one
	// of our own.
	Account *memory.Budget

	// Source is the address text of the sender, and Origin and Sequence are the
	// identity of the packet among what that sends.
	Source   string
	Origin   []byte
	Sequence uint64

	// HopLimit is how often the next node may pass the packet on.
	HopLimit uint32

	// Unordered is set for a packet that has come over a link that does not keep the
	// order of the sends.
	Unordered bool

	// Down is set for a packet that came from a parent, which may only go down.
	Down bool

	// Rare is what few packets have, nil for most. Nobody changes it.
	Rare *Rare

	// Deadline is when the outcomes are reported as unknown, and Since when the packet began its way at
	// this node.
	Deadline, Since time.Time

	// Via is whatever the owner decided the route by.
	Via any

	// Failed holds the address texts of the parents that did not take the packet.
	Failed []string

	// Attempts counts the neighbours that were lost with the packet, and Lost is
	// why the last of them was.
	Attempts int
	Lost     error

	// Room is memory for the parcel of the packet, if it goes one way, as most do. It may be nil.
	Room *Parcel

	// shared is set when the packet has been given to a connection, which may go on
	// reading it after the link is lost. Then nobody may slice it any more.
	shared bool
}

// Rare is what few packets have.
type Rare struct {
	// News are what the packet tells the orchestrator of a player. They are nil for a packet with a
	// message.
	News *ptypes.News

	// Trace is the context of the message in a trace, which goes with it.
	Trace []byte
}

// NewRare returns what few packets have, or nil if it is nothing.
func NewRare(news *ptypes.News, trace []byte) *Rare {
	if news == nil && len(trace) == 0 {
		return nil
	}

	return &Rare{News: news, Trace: trace}
}

// News returns what the packet tells the orchestrator of a player, or nil.
func (h *Header) News() *ptypes.News {
	if h.Rare == nil {
		return nil
	}

	return h.Rare.News
}

// Trace returns the context of the message in a trace, or nil.
func (h *Header) Trace() []byte {
	if h.Rare == nil {
		return nil
	}

	return h.Rare.Trace
}

// RareSize returns about how many bytes travel of what few packets have.
func (h *Header) RareSize() int {
	if h.Rare == nil {
		return 0
	}

	return len(h.Rare.News.GetPlayer()) + len(h.Rare.News.GetText()) + len(h.Rare.Trace)
}

// FailedAt tells whether the parent with that address text did not take the packet.
func (h *Header) FailedAt(key string) bool {
	return slices.Contains(h.Failed, key)
}

// Parcel is the part of a packet that goes to one neighbour. It is made for one
// link and never moves to another.
type Parcel struct {
	Header

	// Packet is changed only by a split, as long as nobody else has it.
	Packet router.Packet

	// Dests are the destinations of the packet, and Keys their address texts. Once the
	// parcel has been drained they are those that are left, and the packet may have more.
	Dests []mino.Address
	Keys  []string

	// Sent tells, once the parcel has been drained, that it has been handed over.
	Sent bool

	// Refused is set once the neighbour has said that it has not taken the parcel.
	Refused bool

	// ID is the number of the parcel in its link, from 1. Rank is its place among the
	// others: the parts of a split parcel keep the rank of the whole.
	ID, Rank uint64
	// Counted is what the parcel counts for in its box, in bytes.
	Counted int
	// Stood is for how long the time of its box had stood still when the parcel came there.
	Stood time.Duration
	// Lane names the lane that the parcel waits in, where a link has lanes.
	Lane string

	// key is the memory of Keys when there is one.
	key [1]string
	// index finds the place of a key, once it is asked for.
	index map[string]int
	// told has the places in Keys of the destinations about which the neighbour has said
	// something, once it has about any while others are open.
	told []bool
}

// New returns a parcel whose Keys are to be filled in.
func New(h Header, packet router.Packet) *Parcel {
	p := h.Room
	if p == nil || p.Pending != nil {
		p = new(Parcel)
	}

	p.Header, p.Packet, p.Dests = h, packet, packet.GetDestination()
	p.Room = nil

	if len(p.Dests) == 1 {
		p.Keys = p.key[:]
	} else {
		p.Keys = make([]string, len(p.Dests))
	}

	return p
}

// Index returns the place of a destination in Keys. It belongs to the goroutine that
// reads the outcomes from the neighbour.
func (p *Parcel) Index(key string) (int, bool) {
	if p.index == nil {
		p.index = make(map[string]int, len(p.Keys))
		for i, k := range p.Keys {
			p.index[k] = i
		}
	}

	i, known := p.index[key]

	return i, known
}

// Counting returns those of the places in a receipt that count: a parcel has no more places than
// destinations, however many a neighbour names.
func (p *Parcel) Counting(reached []uint32) []uint32 {
	return reached[:min(len(reached), len(p.Keys))]
}

// Note remembers the destinations of a receipt that is not the last one.
func (p *Parcel) Note(r *ptypes.Receipt) {
	if p.told == nil {
		p.told = make([]bool, len(p.Keys))
	}

	for _, i := range p.Counting(r.GetReached()) {
		if uint64(i) < uint64(len(p.told)) { // an int may have 32 bits
			p.told[i] = true
		}
	}

	for _, f := range r.GetFailures() {
		i, known := p.Index(string(f.GetDestination()))
		if known {
			p.told[i] = true
		}
	}
}

// rest returns the parcel without the destinations about which the neighbour has said
// something, or nil when there is no other. What it has said may still be read by those
// who tell the owner, so that a parcel does not change.
func (p *Parcel) rest(stood time.Duration) *Parcel {
	late := stood - p.Stood

	switch {
	case p.told == nil && late == 0:
		return p
	case p.told == nil:
		// A worker may be reading the parcel itself.
		own := *p
		own.Deadline = p.Deadline.Add(late)

		return &own
	}

	rest := &Parcel{Header: p.Header, Packet: p.Packet, Sent: p.Sent, Refused: p.Refused}
	rest.Deadline = p.Deadline.Add(late)

	for i, told := range p.told {
		if !told {
			rest.Dests = append(rest.Dests, p.Dests[i])
			rest.Keys = append(rest.Keys, p.Keys[i])
		}
	}

	if len(rest.Keys) == 0 {
		return nil
	}

	return rest
}

// expires returns when the deadline comes, as if the time of the box had never stood still.
func (p *Parcel) expires() time.Time {
	return p.Deadline.Add(-p.Stood)
}

// Size returns what the parcel costs this node, in bytes.
func (p *Parcel) Size() int {
	return Size(p.Packet.GetMessage(), p.Source, p.Keys) + p.RareSize()
}

// Length returns about how many bytes the parcel has on its way: those of its message, and of the
// texts of its addresses.
func (p *Parcel) Length() int {
	length := len(p.Packet.GetMessage()) + len(p.Source) + p.RareSize()
	for _, key := range p.Keys {
		length += len(key)
	}

	return length
}

// HeaderRoom estimates how many bytes the source and the destinations take in a binary format.
func (p *Parcel) HeaderRoom() int {
	room := 16 + len(p.Source)
	for _, key := range p.Keys {
		room += len(key) + 2
	}

	return room
}

// Share notes that the parcel is about to leave. From now on nobody may change its packet.
func (p *Parcel) Share() {
	p.shared = true
}

// Mark notes that the parcel has been handed over: it may arrive from now on.
func (p *Parcel) Mark() {
	p.Share()
	p.Sent = true
}

// MayArrive tells whether the neighbour may have passed the parcel on, or may do so yet.
func (p *Parcel) MayArrive() bool {
	return p.Sent && !p.Refused
}

// Divisible tells whether there are several destinations that can be sent to one by one.
func (p *Parcel) Divisible() bool {
	return len(p.Keys) > 1 && !p.shared
}
