package link

import (
	"time"

	"github.com/minogrpc/session/internal/parcel"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router"
)

// What a link carries, under the names by which its users know it.
type (
	// Parcel is the part of a packet that goes to one neighbour.
	Parcel = parcel.Parcel
	// Header is what all the parts of one packet have in common.
	Header = parcel.Header
	// Rare is what few packets have.
	Rare = parcel.Rare
	// Answer is what a neighbour says about the destinations of a parcel.
	Answer = parcel.Answer
)

var (
	// ErrPacket is wrapped by the errors of a Conn that are about one packet.
	ErrPacket = parcel.ErrPacket

	// ErrFull is the error of a parcel for which there is no room.
	ErrFull = parcel.ErrFull
)

// NewParcel returns a parcel whose Keys are to be filled in.
func NewParcel(h Header, packet router.Packet) *Parcel {
	return parcel.New(h, packet)
}

// NewRare returns what few packets have, or nil if it is nothing.
func NewRare(news *ptypes.News, trace []byte) *Rare {
	return parcel.NewRare(news, trace)
}

// BudgetFor returns the budget of the next node in milliseconds.
func BudgetFor(left time.Duration) uint32 {
	return parcel.BudgetFor(left)
}

// transport is how the parcels of an open link leave: in frames over a stream, or each in a
// call. The box of the link has the accounts of them. All methods but flush, goodbye, cut and
// free are called under the lock of the link.
type transport interface {
	outlet
	parting
}

// outlet is what a transport does with parcels.
type outlet interface {
	// push lets a parcel wait that has been added. Either it leaves by itself, or flush
	// follows.
	push(p *Parcel)

	// wake makes sure that somebody sends what waits.
	wake()

	// flush sends what has been pushed, if the caller can do that without waiting.
	flush()

	// expired is called at a deadline, or when it is due, with the parcels that have left
	// the box for that.
	expired(parcels []*Parcel, now time.Time)

	// due returns when expired has to be called for other reasons, zero for never.
	due() time.Time

	// drained forgets what waits: the box is empty.
	drained()
}

// parting is how a transport comes to an end.
type parting interface {
	// busy tells whether something is leaving that is not in the box.
	busy() bool

	// connected tells whether something can be sent now.
	connected() bool

	// goodbye says that nothing more will come, and tells whether the neighbour answers
	// that by ending the stream.
	goodbye() bool

	// end stops what happens by itself. cut ends the stream after that, and free gives
	// back the rest when no goroutine of the link is left.
	end()
	cut()
	free()
}

// openLocked sets what the link goes over, and lets go what waits for that.
func (l *Link) openLocked(t transport) {
	l.setLocked(t)

	if l.state <= closing {
		t.wake()
	}
}

// setLocked is openLocked for a goroutine that sends what waits by itself.
func (l *Link) setLocked(t transport) {
	l.transport = t

	for _, p := range l.box.All() {
		t.push(p)
	}

	if l.state == connecting {
		l.state = open
	}
}

// over returns what the link goes over, which is nothing while it is connecting. The
// dial may still succeed while the link ends.
func (l *Link) over() transport {
	l.mu.Lock()
	defer l.mu.Unlock()

	return l.transport
}

// wake is wakeLocked without the lock.
func (l *Link) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()

	l.wakeLocked()
}

// wakeLocked makes sure that somebody sends what waits.
func (l *Link) wakeLocked() {
	if l.transport != nil {
		l.transport.wake()
	}
}

// flushedLocked notes that a closing link has nothing left.
func (l *Link) flushedLocked() {
	if l.state != closing || l.box.Len() > 0 || isClosed(l.flushed) {
		return
	}

	if l.transport == nil || !l.transport.busy() {
		close(l.flushed)
	}
}

// removeLocked takes a parcel out of the outbox. It returns false when somebody
// else has done so.
func (l *Link) removeLocked(p *Parcel) bool {
	removed := l.box.Remove(p)
	l.flushedLocked()

	return removed
}
