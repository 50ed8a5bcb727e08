// Package link is this node's end of the connection to one neighbour in one
// session: an outbox, the goroutines that empty it, and the set-up and the end of
// the connection.
//
// Adding a parcel never waits: dialling, the wait for the neighbour's answer and
// every write happen in goroutines of the link. A parcel is in the link's hands
// from Add until the [Owner] is told its outcome, is given it back by Drain, or
// its deadline passes, whichever comes first; it always is one of them.
//
// A link is connecting, open, lost or closing, in this order of possible changes,
// and in the end released. The methods may be called from several goroutines. The
// lock of a link is never held during a call to its owner or to the connection.
package link

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/minogrpc/session/internal/memory"
	"github.com/minogrpc/session/internal/parcel"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
)

// Goodbye is how long a closing link waits for what is in its outbox, and for the
// neighbour to see the end of the stream. Only the time counts in which the process gets the
// processor: a process that was stopped would otherwise cut what the neighbour is about to read.
const Goodbye = time.Second

var (
	// ErrClosed is the outcome of parcels that were in the link when it closed.
	ErrClosed = errors.New("the session is closing")

	// ErrExpired is the outcome of parcels whose deadline has passed.
	ErrExpired = errors.New("no outcome within the deadline, it may have arrived")

	// ErrAnswer is wrapped by the error of a parcel that a neighbour has answered for, if the
	// answer was too large to be read.
	ErrAnswer = errors.New("the answer of the neighbour is too large")

	// ErrRefused is wrapped by the error of a parcel that a neighbour has not taken, as it says
	// itself.
	ErrRefused = errors.New("not taken")

	// ErrSetup is the loss of a neighbour that did not answer in time.
	ErrSetup = errors.New("the neighbour did not answer within the set-up deadline")

	// ErrNews is the error of a parcel with news for a neighbour that may not know them. It would take
	// them for a message.
	ErrNews = errors.New("the neighbour takes no news of players")

	// ErrHurry is the same when nobody had the time to wait for the whole of it.
	ErrHurry = fmt.Errorf("%w, which the packets for it have shortened", ErrSetup)
)

// Conn is an open connection to a neighbour.
type Conn interface {
	// Carry hands a parcel to the neighbour and returns its Ack. It must return when
	// the context is done.
	Carry(ctx context.Context, p *Parcel) (*ptypes.Ack, error)

	// Recv waits for what the neighbour sends by itself. Its error is the end of
	// the neighbour.
	Recv() (*ptypes.Packet, error)

	// Goodbye says that nothing more will come, and tells whether the neighbour
	// can answer that by ending the stream.
	Goodbye() bool

	// Release frees the connection. It is called once, when no other call is under
	// way or will be made.
	Release()
}

// Connection is what a dial comes to: exactly one of the two.
type Connection struct {
	// Calls is a connection that takes the parcels one by one.
	Calls Conn

	// Frames is that to a neighbour with which the link is duplex.
	Frames *Frames

	// Tenure is what the neighbour has said of this registration of its parent, or 0.
	Tenure uint64
}

// early tells whether the neighbour has not accepted the connection yet.
func (c Connection) early() bool {
	return c.Frames != nil && c.Frames.Await != nil
}

// Owner is told what happens to a link and its parcels.
type Owner interface {
	parcelOwner
	signOwner

	// Opened is called when a dialled link can be used.
	Opened(l *Link)

	// Received is called with what the neighbour sends by itself.
	Received(l *Link, p *ptypes.Packet)

	// Broken is called when the stream of a duplex link has ended without a goodbye, or is
	// given up, at the end that does not dial. Resume may go on with another one. If the cause
	// is ErrSilent or ErrStuck the stream may still be there, and the owner has to end it: then
	// the neighbour knows at once.
	Broken(l *Link, cause error)

	// Redials is called at the end that dials when the stream of a duplex link has ended without a
	// goodbye, and the link tries to open another one. Resumed follows when it has, and Lost when it
	// gives up.
	Redials(l *Link, cause error)
	Resumed(l *Link)

	// Goodbye is called when the neighbour of a duplex link has said so. The end of
	// the stream follows.
	Goodbye(l *Link)

	// Lost is called once when the neighbour is lost, with the parcels still in the
	// outbox: the owner drains it.
	Lost(l *Link, cause error)

	// Released is called when nothing is left of the link.
	Released(l *Link)
}

// signOwner is told what the neighbour of a duplex link says beside its parcels.
type signOwner interface {
	// Turned is called when the parent at the other end of a duplex link has lost its own way
	// up, or has one again.
	Turned(l *Link, cut bool)

	// Measured is called when the neighbour of a duplex link has answered how long the way takes.
	Measured(l *Link, roundTrip time.Duration)
}

// parcelOwner is told what happens to the parcels of either end.
type parcelOwner interface {
	// Sent is called when a parcel has been handed over.
	Sent(l *Link, p *Parcel)

	// Answered is called with what the neighbour says about a parcel. That of a duplex
	// link may say it bit by bit.
	Answered(l *Link, p *Parcel, a Answer)

	// Arrived is called with the parcels in a frame of the neighbour of a duplex link, in
	// their order. The list is good until Arrived returns. Each is answered with Reply, the
	// last time with a receipt that says so, or with Delivered.
	Arrived(l *Link, arrivals []Arrival)

	// Stalled is called when a large message of the neighbour has been dropped, because nothing more
	// of it has come for too long. If it is completed after all, it arrives with the same error.
	Stalled(l *Link, err error)

	// Failed is called when a parcel alone has failed.
	Failed(l *Link, p *Parcel, err error)
}

// Config is what a link is made of.
type Config struct {
	// Peer is the neighbour, and Key its address text.
	Peer mino.Address
	Key  string

	// Down is set for the link to a parent, whose packets only go down.
	Down bool

	// News is set for a link that takes parcels with news.
	News bool

	// Owner is told what happens.
	Owner Owner

	// Dials each have room for the links that may set up a stream at once, their first one or the
	// next one after a break; the others wait for their turn. A link needs a place in all of them,
	// and takes them in their order.
	Dials []*Turns

	// Setup is how long the dial may take at most, counted while the process gets the
	// processor, and Asking how much time whoever asks for the neighbour has, zero if only
	// what is added counts.
	Setup, Asking time.Duration

	// Silence is how long the neighbour of a duplex link may give no sign of life,
	// and Patience how long a break may take until another stream goes on.
	Silence, Patience time.Duration

	// MaxPackets and MaxBytes bound the outbox.
	MaxPackets, MaxBytes int

	// Budget is what the outbox shares with others. Nil is no limit.
	Budget *memory.Budget

	// Calls is how many parcels may be handed over at once, and PerLane how many of
	// them for the same destination. One call and no lanes keep the order.
	Calls, PerLane int

	// Sticky links are not lost when a parcel fails: the health of the neighbour is
	// watched by somebody else.
	Sticky bool
}

type state int

const (
	connecting state = iota
	open
	// closing links take no more parcels and are being emptied.
	closing
	// lost links have no neighbour any more.
	lost
	// dead links have stopped their goroutines.
	dead
)

// Link is the end of the connection to one neighbour.
type Link struct {
	Config

	ctx    context.Context
	cancel context.CancelCauseFunc

	// wg counts the goroutines of the link, except for the one that waits for them.
	wg sync.WaitGroup

	// dialled is closed when a dial has succeeded, flushed when a closing link has emptied its
	// outbox, ended when the stream of the neighbour has ended, parted when the goodbye is over,
	// and released when nothing is left.
	dialled, flushed, ended, parted, released chan struct{}

	mu    sync.Mutex
	state state
	// transport is nil until the link opens, and does not change after.
	transport transport
	// opened is set when the neighbour has answered. A link may have opened before that.
	opened bool

	// box is the outbox.
	box parcel.Box
	// sealed is set when nobody will look at the outbox any more: nothing may be added
	// that no one would settle.
	sealed bool
	// cut is set when the way up of this node is cut, which it tells a child.
	cut    bool
	expiry expiry
	setup  setup
	// received counts what has come from the neighbour.
	received Traffic

	// tenure is set before the owner is told that the link has opened.
	tenure uint64
}

// Dial returns a connecting link. The dial runs in a goroutine of the link, with a
// context that lasts as long as the link.
func Dial(cfg Config, dial func(context.Context) (Connection, error)) *Link {
	l := newLink(cfg)
	l.wg.Go(func() { l.run(dial) })

	return l
}

// Attach returns an open link over a connection that somebody else reads, who
// calls Ended when that is over.
func Attach(cfg Config, conn Conn) *Link {
	l := newLink(cfg)

	l.mu.Lock()
	defer l.mu.Unlock()

	l.opened = true
	l.openLocked(newUnicast(l, conn))

	return l
}

// Park returns a link without a neighbour: its parcels wait in the outbox until
// they are drained, or their deadlines pass.
func Park(cfg Config) *Link {
	return newLink(cfg)
}

func newLink(cfg Config) *Link {
	ctx, cancel := context.WithCancelCause(context.Background())
	l := &Link{
		Config:  cfg,
		ctx:     ctx,
		cancel:  cancel,
		dialled: make(chan struct{}),
		flushed: make(chan struct{}),
		ended:   make(chan struct{}),
		parted:  make(chan struct{}),

		released: make(chan struct{}),
	}
	l.setup.ask(cfg.Asking)
	l.box = parcel.Box{MaxPackets: cfg.MaxPackets, MaxBytes: cfg.MaxBytes, Budget: cfg.Budget}

	return l
}

// Add takes a parcel, or returns why there is no room for it. It returns ErrClosed, and
// keeps nothing, when the link is closing, and when a lost link has been drained. It returns
// ErrNews for news that the neighbour may not know. Flush has to follow, as soon as the locks
// of the caller are free.
func (l *Link) Add(p *Parcel) error {
	if p.News() != nil && !l.News {
		return ErrNews
	}

	l.mu.Lock()
	defer l.mu.Unlock()

	if l.sealed {
		return ErrClosed
	}

	err := l.box.Add(p)
	if err != nil {
		return err
	}

	l.armLocked()

	if l.transport != nil {
		l.transport.push(p)
	} else {
		l.setup.ask(time.Until(p.Deadline))
	}

	return nil
}

// Flush sees to it that what has been added leaves. It is called after Add, when no
// lock is held any more.
func (l *Link) Flush() {
	if t := l.over(); t != nil {
		t.flush()
	}
}

// Opened tells whether the neighbour has ever answered.
func (l *Link) Opened() bool {
	l.mu.Lock()
	defer l.mu.Unlock()

	return l.opened
}

// Broken tells whether a duplex link has no stream at present.
func (l *Link) Broken() bool {
	l.mu.Lock()
	defer l.mu.Unlock()

	d := l.duplexLocked()

	return d != nil && d.stream == nil
}

// Heard returns when the last sign of life has come over a duplex link, or zero for any other.
func (l *Link) Heard() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()

	d := l.duplexLocked()
	if d == nil {
		return time.Time{}
	}

	return d.machine.Heard()
}

// Tenure returns what the neighbour has said of the registration that this link is to it: a number
// above those of its earlier registrations, or 0 if it has said none. Only Opened, of the owner, may
// call it.
func (l *Link) Tenure() uint64 {
	return l.tenure
}

// Duplex tells whether the link has become duplex.
func (l *Link) Duplex() bool {
	return l.duplex() != nil
}

// Released returns a channel that is closed when nothing is left of the link.
func (l *Link) Released() <-chan struct{} {
	return l.released
}

// Ended tells an attached link that the stream of the neighbour has ended.
func (l *Link) Ended() {
	l.mu.Lock()
	defer l.mu.Unlock()

	if !isClosed(l.ended) {
		close(l.ended)
	}
}

// Parted returns a channel that is closed when a closing link has said goodbye, or
// a lost one has been given up. What is left to do after does not need the stream.
func (l *Link) Parted() <-chan struct{} {
	return l.parted
}

// run dials, and then reads until the end of the neighbour.
func (l *Link) run(dial func(context.Context) (Connection, error)) {
	conn, err := l.dial(dial)
	if err != nil {
		l.Ended()
		l.Fail(err)

		return
	}

	if conn.early() {
		l.anticipate(*conn.Frames)

		return
	}

	l.tenure = conn.Tenure

	// Before anything can be sent, so that the owner is told things in their order.
	l.tell(func() { l.Owner.Opened(l) })

	l.mu.Lock()
	t, read := l.transportFor(conn)
	l.opened = true
	l.setLocked(t)
	close(l.dialled)

	late := l.state > closing
	if late {
		// Whoever has ended the link may have found no stream yet.
		t.end()
	}
	l.mu.Unlock()

	if late {
		t.cut()
	} else {
		read()
	}
}

// transportFor returns what the link goes over, and what reads that until it ends.
func (l *Link) transportFor(conn Connection) (t transport, read func()) {
	if conn.Frames == nil {
		u := newUnicast(l, conn.Calls)

		return u, func() {
			l.wake()
			u.read()
		}
	}

	d := newDuplex(l, *conn.Frames)

	return d, func() {
		d.flush()
		d.serve(conn.Frames.Stream)
	}
}
