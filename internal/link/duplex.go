package link

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/link/frames"
	"github.com/minogrpc/session/ptypes"
)

// MaxUnsettled is how many parcels may be on their way to the neighbour of a duplex
// link without an outcome.
const MaxUnsettled = frames.MaxUnsettled

// CanCut is the name of what a link can do whose parent says whether its way up is cut.
const CanCut = "cut"

// CanNews is the name of what a link can do that takes news of players.
const CanNews = "news"

// CanEarly is the name of what a callee can do that tells an opener whether it has taken anything of what
// came with a stream that it refuses, so that frames may follow an opening at once.
const CanEarly = "early"

// Arrival is a parcel that has come over a duplex link.
type Arrival = frames.Arrival

// Paced is the name of the capability to follow the speed of a slow link.
const Paced = "paced"

var (
	// ErrSilent is the loss of a neighbour that gives no sign of life. This end gives the stream
	// up then.
	ErrSilent = frames.ErrSilent

	// ErrUnheard is wrapped by the error of a stream that the neighbour has given up, because
	// this end has given it no sign of life.
	ErrUnheard = frames.ErrUnheard

	// ErrGone is wrapped by the errors of a redial that another attempt would not
	// change.
	ErrGone = errors.New("the neighbour does not know the link any more")

	// ErrStuck is why this end gives up a stream that has not taken a frame, and has not ended.
	ErrStuck = errors.New("the stream takes no more frames")
)

// Next is what this end says when it opens the next stream of a link.
type Next struct {
	// Epoch is the number of the stream, and Received that of the last frame that this end has
	// received.
	Epoch, Received uint64

	// Fresh is set when the connection of the last stream may be dead, though it looks alive.
	Fresh bool
}

// Stream is one stream of a duplex link.
type Stream interface {
	// Send writes a frame. One goroutine at a time calls it. It does not wait for the
	// neighbour when that has received all the frames before, as the streams of gRPC,
	// which have room for that.
	Send(frame *ptypes.Packet) error

	// Recv waits for the next frame of the neighbour.
	Recv() (*ptypes.Packet, error)

	// Shut says that no more frames will follow, and tells whether the neighbour then
	// ends the stream. It is called after the last Send.
	Shut() bool

	// Release ends the stream, as far as this end can, and frees what it holds. It is
	// called once, and the other methods then return soon.
	Release()
}

// Metered is a [Stream] that may know how many bytes have come over its connection, for this
// stream or for others, and when the last of them have. It is called with the lock of the link.
type Metered interface {
	Reads() (bytes uint64, last time.Time, known bool)
}

// Frames is what a duplex link needs to know of its streams.
type Frames struct {
	// Stream is the first of them.
	Stream Stream

	// MaxFrame bounds what is put together in one frame, in bytes.
	MaxFrame int

	// MaxBody bounds a message that comes in chunks, in bytes, and MaxHeader a header that
	// does. Zero is no limit of the header.
	MaxBody, MaxHeader int

	// Can are the names of what both ends can do beside what all duplex links do.
	Can []string

	// Text is set when the packets travel in a format of text.
	Text bool

	// Encode sets the two parts of a packet as they travel. It may append the header to what is there,
	// which is empty.
	Encode func(p *Parcel, wire *ptypes.Parcel) error

	// Redial opens the next stream of the link after a break, and returns the number
	// of the last frame that the neighbour has received. It returns within the
	// deadline of the context. If that passes, it gives up the connection, too. It is nil at the
	// end that does not dial.
	Redial func(ctx context.Context, next Next) (Stream, uint64, error)

	// Wait is how long the neighbour waits for the next stream after a break, or 0 if it has not
	// said so. It bounds the patience of the end that dials.
	Wait time.Duration

	// Await waits until the neighbour has accepted the first stream, and returns what it says. Until then
	// the link writes, and reads nothing. An error that wraps [ErrRefused] says that the neighbour has
	// taken nothing; after any other one nobody knows. Await is nil for a stream that is accepted.
	Await func() (Accepted, error)
}

// Accepted is what a neighbour says when it accepts a stream.
type Accepted struct {
	// Tenure and Wait are those of [Connection] and [Frames].
	Tenure uint64
	Wait   time.Duration
}

// duplex implements transport with frames over a stream. The machine decides everything
// about them; this is what drives it: the goroutines that read and write, the streams, the
// timer, and the lock. A stream is only what the link uses at present.
type duplex struct {
	Frames
	// writer belongs to the lock of the link.
	writer

	link *Link
	// patience is how long the end that dials tries to open the next stream.
	patience time.Duration

	// frameMu is held while a frame is being taken, so that those of a new stream wait
	// for the last one of the stream before, and while the owner is told of a break, so
	// that it knows before it is over. It comes before the lock of the link.
	frameMu sync.Mutex

	// What follows belongs to the lock of the link.

	machine *frames.Machine

	// stream is nil while the link is broken. released is the last one that this end
	// has given up, and ending the one that it had when the link ended.
	stream, released, ending Stream
	// quit is why the end that dials has given up the stream, for the reader, who only finds that
	// it has ended.
	quit error
	// epoch is that of the stream.
	epoch uint64

	// taking is set while the owner is told about a frame.
	taking bool

	// unanswered is set while the neighbour has not accepted the first stream.
	unanswered bool

	// beat is when the machine is told the time.
	beat *time.Timer
}

func newDuplex(l *Link, f Frames) *duplex {
	d := &duplex{
		Frames: f, link: l, stream: f.Stream, epoch: 1, writer: newWriter(), unanswered: f.Await != nil,
	}
	d.patience = patienceFor(l.Patience, f.Wait)
	d.machine = frames.New(frames.Config{
		Box:      &l.box,
		Dialler:  f.Redial != nil,
		MaxFrame: f.MaxFrame,
		MaxBody:  f.MaxBody,

		MaxHeader: f.MaxHeader,
		Paced:     slices.Contains(f.Can, Paced),
		Timed:     true,

		Text:     f.Text,
		Cuts:     slices.Contains(f.Can, CanCut),
		Silence:  l.Silence,
		Patience: d.patience,
	}, time.Now())
	d.machine.SetCut(l.cut)

	d.beat = time.AfterFunc(d.machine.FirstTick(), d.tick)

	return d
}

// Attached returns an open link over a first stream that somebody else has opened.
// Serve reads it.
func Attached(cfg Config, f Frames) *Link {
	l := newLink(cfg)

	l.mu.Lock()
	defer l.mu.Unlock()

	l.opened = true
	l.openLocked(newDuplex(l, f))

	return l
}

// duplexLocked returns the transport of a duplex link, or nil.
func (l *Link) duplexLocked() *duplex {
	d, _ := l.transport.(*duplex)

	return d
}

// duplex is duplexLocked without the lock.
func (l *Link) duplex() *duplex {
	l.mu.Lock()
	defer l.mu.Unlock()

	return l.duplexLocked()
}

// Serve reads a stream of an attached link, and those that this node opens after it.
// It returns when the neighbour is lost or has ended the stream, when the link has
// been released, and, at the end that does not dial, when the stream breaks.
func (l *Link) Serve(stream Stream) {
	l.duplex().serve(stream)
}

func (d *duplex) serve(stream Stream) {
	for stream != nil {
		cause := d.read(stream)
		stream = d.reopen(stream, cause)
	}
}

// Parting tells whether the neighbour of a duplex link has said goodbye.
func (l *Link) Parting() bool {
	l.mu.Lock()
	defer l.mu.Unlock()

	d := l.duplexLocked()

	return d != nil && d.machine.Parting()
}

// SetCut tells the child at the other end of a link, if it is duplex, whether the way up of this
// node is cut.
func (l *Link) SetCut(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()

	l.cut = cut

	if d := l.duplexLocked(); d != nil {
		d.machine.SetCut(cut)
		d.wake()
	}
}

// Reply sends a receipt to the neighbour of a duplex link. It does not count for the
// bounds of the outbox.
func (l *Link) Reply(r *ptypes.Receipt) {
	l.mu.Lock()
	defer l.mu.Unlock()

	if d := l.duplexLocked(); d != nil && l.state <= closing {
		d.replied(d.machine.Reply(r))
	}
}

// Delivered is Reply for the last receipts of some parcels, about which there is nothing more
// to say.
func (l *Link) Delivered(ids ...uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()

	d := l.duplexLocked()
	if d == nil || l.state > closing || len(ids) == 0 {
		return
	}

	var err error

	for _, id := range ids {
		if err = d.machine.Delivered(id); err != nil {
			break
		}
	}

	d.replied(err)
}

// replied sees to it that the outcomes leave, unless there are too many.
func (d *duplex) replied(err error) {
	if err != nil {
		// The caller may hold the lock of the outcomes, which the loss will need.
		go d.link.Fail(err)
	}

	d.wake()
}

func (d *duplex) push(p *Parcel) { d.machine.Push(p) }

func (d *duplex) expired(parcels []*Parcel, _ time.Time) {
	if len(parcels) > 0 {
		d.machine.Expired()
		d.wake()
	}
}

func (d *duplex) due() time.Time  { return time.Time{} }
func (d *duplex) drained()        { d.machine.Drained() }
func (d *duplex) connected() bool { return d.machine.Connected() }

// busy tells whether something is being written, or will be. What this end replies at once
// to a frame goes before the goodbye.
func (d *duplex) busy() bool {
	return d.taking || d.writing || d.machine.Busy()
}

// goodbye writes the last frame, if there is a stream.
func (d *duplex) goodbye() bool {
	l := d.link

	l.mu.Lock()
	connected := d.machine.Connected()

	if connected {
		d.machine.Farewell()
	}
	l.mu.Unlock()

	if !connected {
		return false
	}

	d.flush()

	return l.awaitGoodbye(d.said) && d.shut
}

// end stops the timer and the writer, and gives up the stream.
func (d *duplex) end() {
	if d.stream != nil {
		d.ending, d.stream = d.stream, nil
	}

	if d.resting {
		d.stir()
	}

	d.beat.Stop()
}

// cut ends the stream, and forgets what has come of a large message.
func (d *duplex) cut() {
	d.link.mu.Lock()
	stream := d.ending
	d.machine.Forget()
	d.link.mu.Unlock()

	if stream != nil {
		d.letGo(stream)
	}

	d.frameMu.Lock()
	defer d.frameMu.Unlock()

	d.machine.Abandon()
}

func (d *duplex) free() {}

// letGo ends a stream, once.
func (d *duplex) letGo(stream Stream) {
	d.link.mu.Lock()
	before := d.released
	d.released = stream
	d.link.mu.Unlock()

	if before != stream {
		// The stream may not be ours, and there is nothing to do about its panic.
		_ = contain.Do(stream.Release)
	}
}
