// Package traffic keeps what nodes do in a test or a run, and draws it: who sent what to whom, when, by
// which way, and with which outcome.
//
//	record := traffic.NewRecord()
//	node, err := minogrpc.NewMinogrpc(..., minogrpc.WithSessionOptions(session.WithObserver(record.Observer())))
//	...
//	err = record.WriteSVG(file)
//
// One record takes the observations of any number of nodes of a process. Their clock is that of the
// process, also in a bubble of testing/synctest.
package traffic

import (
	"fmt"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
)

// DefaultLimit is how many events a record keeps without [WithLimit].
const DefaultLimit = 10_000

// maxText is how much of an error an event keeps, in bytes.
const maxText = 200

// Kind is what an event is about.
type Kind string

const (
	// Sent is a packet that Node has handed to its neighbour Peer.
	Sent Kind = "sent"
	// Received is a packet that has come to Node from its neighbour Peer.
	Received Kind = "received"
	// Delivered is a packet that Node has put into its queue.
	Delivered Kind = "delivered"
	// Reached is the outcome of a message that Node has sent, at the destination Peer.
	Reached Kind = "reached"
	// Failed is the same for a destination that was not reached. Text says why.
	Failed Kind = "failed"
	// Opened is a neighbour Peer that Node can reach from now on.
	Opened Kind = "opened"
	// Broken is a neighbour Peer whose stream has broken. Resumed or Lost may follow.
	Broken Kind = "broken"
	// Resumed is a neighbour Peer whose stream goes on.
	Resumed Kind = "resumed"
	// Lost is a neighbour Peer that Node has lost.
	Lost Kind = "lost"
)

// Event is one thing that a node has observed.
type Event struct {
	// At is the time since the record was made.
	At   time.Duration
	Kind Kind
	// Stream is the id of the stream.
	Stream string
	// Node is who has observed it, and Peer the other one: see [Kind]. An orchestrator and a player on one
	// node are two nodes here.
	Node, Peer string
	// Source is the sender of the packet, Destinations for how many it is, and Bytes the size of its
	// message.
	Source              string
	Destinations, Bytes int
	// Latency is that of an outcome.
	Latency time.Duration
	// Text is at most 200 bytes of the error, if there is one, and an ellipsis if that is not all.
	Text string
}

// Option changes a default of [NewRecord].
type Option func(*Record)

// WithLimit sets how many events the record keeps: the first ones. The default is [DefaultLimit]. It must be
// positive; anything else is ignored.
func WithLimit(events int) Option {
	return func(r *Record) {
		if events > 0 {
			r.limit = events
		}
	}
}

// WithNames lets the pictures show each node under the name that the function returns for its address. It must give
// different nodes different names. The methods that draw call it; the addresses in the texts of errors stay. Without
// it a picture shows the address without its scheme. A nil function changes nothing.
func WithNames(nameOf func(node string) string) Option {
	return func(r *Record) {
		if nameOf != nil {
			r.names = nameOf
		}
	}
}

// Record keeps events. All methods may be called from several goroutines at once.
type Record struct {
	began time.Time
	limit int
	names func(node string) string

	mu      sync.Mutex
	events  []Event
	dropped int
}

// NewRecord returns an empty record.
func NewRecord(opts ...Option) *Record {
	r := &Record{began: time.Now(), limit: DefaultLimit, names: short}
	for _, opt := range opts {
		opt(r)
	}

	return r
}

// Events returns the events in the order in which they were told, and how many did not find room.
func (r *Record) Events() (events []Event, dropped int) {
	r.mu.Lock()
	defer r.mu.Unlock()

	return append([]Event(nil), r.events...), r.dropped
}

// Observer returns what tells the record. It may be used for any number of sessions.
func (r *Record) Observer() session.Observer {
	return session.Observer{
		RelayOpened:  func(s session.StreamInfo, peer mino.Address) { r.link(s, Opened, peer, nil) },
		RelayBroken:  func(s session.StreamInfo, peer mino.Address, cause error) { r.link(s, Broken, peer, cause) },
		RelayResumed: func(s session.StreamInfo, peer mino.Address) { r.link(s, Resumed, peer, nil) },
		RelayLost:    func(s session.StreamInfo, peer mino.Address, cause error) { r.link(s, Lost, peer, cause) },
		PacketSent: func(s session.StreamInfo, to mino.Address, info session.PacketInfo) {
			r.packet(s, Sent, to, info)
		},
		PacketReceived: func(s session.StreamInfo, from mino.Address, info session.PacketInfo) {
			r.packet(s, Received, from, info)
		},
		PacketDelivered: func(s session.StreamInfo, info session.PacketInfo) { r.packet(s, Delivered, nil, info) },
		OutcomeKnown:    r.outcome,
	}
}

// link notes what has become of the way to a neighbour.
func (r *Record) link(s session.StreamInfo, kind Kind, peer mino.Address, cause error) {
	r.add(s, Event{Kind: kind, Peer: nameOf(peer), Text: textOf(cause)})
}

// packet notes a packet at one node.
func (r *Record) packet(s session.StreamInfo, kind Kind, peer mino.Address, info session.PacketInfo) {
	r.add(s, Event{
		Kind: kind, Peer: nameOf(peer), Source: nameOf(info.Source), Destinations: info.Destinations, Bytes: info.Bytes,
	})
}

// outcome notes what has become of a message.
func (r *Record) outcome(s session.StreamInfo, o session.Outcome) {
	e := Event{Kind: Reached, Peer: nameOf(o.Destination), Latency: o.Latency}
	if o.Err != nil {
		e.Kind, e.Text = Failed, textOf(o.Err)
	}

	r.add(s, e)
}

// add completes an event, and keeps it if there is room.
func (r *Record) add(s session.StreamInfo, e Event) {
	e.At, e.Stream, e.Node = time.Since(r.began), s.Stream, nameOf(s.Node)

	r.mu.Lock()
	defer r.mu.Unlock()

	if len(r.events) >= r.limit {
		r.dropped++

		return
	}

	r.events = append(r.events, e)
}

// nameOf prints an address, which may be missing.
func nameOf(addr mino.Address) string {
	if addr == nil {
		return ""
	}

	return addr.String()
}

// textOf returns the text of an error, as far as an event keeps it.
func textOf(err error) string {
	if err == nil {
		return ""
	}

	text := fmt.Sprint(err)
	if len(text) <= maxText {
		return text
	}

	end := maxText
	for end > maxText-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end-- // No character is cut in two.
	}

	return text[:end] + "…"
}
