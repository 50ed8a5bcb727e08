package link

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/ptypes"
)

// MaxUnsettled is how many parcels may be on their way to the neighbour of a duplex
// link without an outcome.
const MaxUnsettled = 10_000

// maxUnread bounds what is kept for a neighbour that does not say that it has received
// it: in frames, and in bytes. What comes after waits. The flow control of the stream
// stops an honest one long before.
const (
	maxUnread      = 10_000
	maxUnreadBytes = 16 << 20
)

var (
	// ErrSilent is the loss of a neighbour that gives no sign of life.
	ErrSilent = errors.New("the neighbour has been silent for too long")

	// ErrGone is wrapped by the errors of a redial that another attempt would not
	// change.
	ErrGone = errors.New("the neighbour does not know the link any more")

	errStuck    = errors.New("the stream takes no more frames")
	errProtocol = errors.New("the neighbour breaks the rules of the link")
)

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

// Frames is what a duplex link needs to know of its streams.
type Frames struct {
	// Stream is the first of them.
	Stream Stream

	// MaxFrame bounds what is put together in one frame, in bytes.
	MaxFrame int

	// MaxBody bounds a message that comes in chunks, in bytes.
	MaxBody int

	// Text is set when the packets travel in a format of text.
	Text bool

	// Encode sets the two parts of a packet as they travel.
	Encode func(p *Parcel, wire *ptypes.Parcel) error

	// Redial opens the next stream of the link after a break, and returns the number
	// of the last frame that the neighbour has received. It returns within the
	// deadline of the context. It is nil at the end that does not dial.
	Redial func(ctx context.Context, epoch, received uint64) (Stream, uint64, error)
}

// duplex is the state of a link that exchanges frames with the neighbour.
//
// The frames with content are numbered, and kept until the neighbour says that it
// has received them. After a break another stream continues where the last one
// ended: so nothing is lost or arrives twice while the link lives.
type duplex struct {
	Frames

	// The three belong to the lock of the link, but for what says otherwise.
	outgoing
	incoming
	pulse

	link *Link

	// turn is held while a frame is being taken, so that those of a new stream wait
	// for the last one of the stream before, and while the owner is told of a break, so
	// that it knows before it is over. It comes before the lock of the link.
	turn    sync.Mutex
	partial partial

	// What follows belongs to the lock of the link.

	// stream is nil while the link is broken, and epoch the number of the last one.
	// released is the last one that this end has given up.
	stream, released Stream
	epoch            uint64
	// failed is set when the stream has not taken a frame. Its reader will say why, or
	// the next tick gives it up.
	failed bool

	// began is when the stream was opened, and confirmed the number of the last frame
	// that the neighbour had received then. vain counts the streams in a row that have
	// ended soon and without another.
	began     time.Time
	confirmed uint64
	vain      int
}

// newDuplex returns the state for a first stream, in whose set-up nothing has been
// exchanged yet.
func newDuplex(l *Link, frames Frames) *duplex {
	d := &duplex{Frames: frames, link: l, stream: frames.Stream, epoch: 1, began: time.Now()}
	d.order.limit = frames.MaxFrame / 2
	d.said = make(chan struct{})
	d.more = make(chan struct{}, 1)

	return d
}

// Attached returns an open link over a first stream that somebody else has opened.
// Serve reads it.
func Attached(cfg Config, frames Frames) *Link {
	l := newLink(cfg)

	l.mu.Lock()
	defer l.mu.Unlock()

	l.openLocked(Connection{Frames: &frames})

	return l
}

// Serve reads a stream of an attached link, and those that this node opens after it.
// It returns when the neighbour is lost or has ended the stream, when the link has
// been released, and, at the end that does not dial, when the stream breaks.
func (l *Link) Serve(stream Stream) {
	_, d := l.over()
	l.serve(d, stream)
}

func (l *Link) serve(d *duplex, stream Stream) {
	for stream != nil {
		cause := d.read(stream)
		stream = d.reopen(stream, cause)
	}
}

// Resume goes on with a stream that the neighbour has opened after a break, in which
// it says what it has received. accept is called with what this end has received,
// before anything is written. It returns false when the link cannot go on.
func (l *Link) Resume(stream Stream, epoch, received uint64, accept func(received uint64)) bool {
	_, d := l.over()
	if d == nil {
		return false
	}

	// The frame that is being taken counts as received.
	d.turn.Lock()
	defer d.turn.Unlock()

	l.mu.Lock()
	before := d.stream
	ok := epoch > d.epoch && d.continueLocked(stream, epoch, received) == nil

	if ok {
		accept(d.received)
		d.wakeLocked()
	}
	l.mu.Unlock()

	if ok && before != nil {
		// The neighbour knew first that it had broken.
		_ = contain.Do(before.Release) // There is nothing to do about its panic.
	}

	return ok
}

// continueLocked makes a stream the current one.
func (d *duplex) continueLocked(stream Stream, epoch, received uint64) error {
	if d.link.state != open || d.over {
		return ErrGone
	}

	if err := d.confirmLocked(received); err != nil {
		return err
	}

	d.stream, d.epoch, d.failed = stream, epoch, false
	d.resend = 0
	d.heard = time.Now()
	d.began, d.confirmed = d.heard, d.confirmedLocked()

	return nil
}

// reopen decides how to go on when a stream has ended, and returns the next one to
// read, or nil.
func (d *duplex) reopen(stream Stream, cause error) Stream {
	l := d.link

	d.turn.Lock()
	current := d.breakOff(stream, cause)
	d.turn.Unlock()

	if !current {
		// There is another stream already, or the neighbour was silent for too long.
		return nil
	}

	l.mu.Lock()
	over := l.state != open || d.endsLocked(cause)
	l.mu.Unlock()

	switch {
	case over:
		l.Ended()
		l.Fail(cause)
	case d.Redial != nil:
		return d.redial(cause)
	}

	return nil
}

// breakOff gives up a stream, if it is the current one. At the end that does not dial
// it tells the owner of the break, if it is one. It is called with the turn.
func (d *duplex) breakOff(stream Stream, cause error) bool {
	l := d.link

	l.mu.Lock()

	if d.stream != stream {
		l.mu.Unlock()

		return false
	}

	// Its frames do not count any more, whenever they come.
	d.countLocked()
	d.stream, d.failed = nil, false
	broken := d.Redial == nil && l.state == open && !d.endsLocked(cause)
	l.mu.Unlock()

	d.letGo(stream)

	if broken {
		l.tell(func() { l.Owner.Broken(l, cause) })
	}

	return true
}

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

// endsLocked tells whether the end of a stream is also that of the link.
func (d *duplex) endsLocked(cause error) bool {
	return d.over || errors.Is(cause, errProtocol) || d.Redial != nil && d.vain >= maxVain
}

// maxVain is how many streams in a row may end soon after they were opened without
// getting a single frame across. There is one that the neighbour cannot take, or the
// neighbour does not mean it.
const maxVain = 8

// countLocked counts the stream that ends, unless it was of use: it has got something
// across, or has lasted, for a moment at least if there was nothing to get across.
func (d *duplex) countLocked() {
	lasted := time.Since(d.began)

	switch {
	case d.confirmedLocked() > d.confirmed,
		!d.failed && lasted >= d.link.Patience,
		d.unread.len() == 0 && lasted >= probePause:
		d.vain = 0
	default:
		d.vain++
	}
}

// probePause is how long a link waits before it tries a second time.
const probePause = 250 * time.Millisecond

// redial tries to go on with another stream, twice at most. If that does not work,
// the neighbour is lost by what has ended the last one.
func (d *duplex) redial(cause error) Stream {
	l := d.link

	ctx, cancel := context.WithTimeout(l.ctx, l.Patience)
	defer cancel()

	// Who does not answer the first time is asked again.
	first, stop := context.WithTimeout(ctx, l.Patience/2)
	defer stop()

	stream, err := d.probe(first)
	if err != nil && !errors.Is(err, ErrGone) {
		timer := time.NewTimer(probePause)
		defer timer.Stop()

		select {
		case <-timer.C:
			stream, err = d.probe(ctx)
		case <-ctx.Done():
		}
	}

	if err == nil {
		return stream
	}

	l.Ended()
	l.Fail(cause)

	return nil
}

// dialAgain calls what may not be ours.
func (d *duplex) dialAgain(ctx context.Context, epoch, received uint64) (stream Stream, theirs uint64, err error) {
	defer contain.Recover(&err)

	return d.Redial(ctx, epoch, received)
}

// probe opens the next stream, and makes it the current one.
func (d *duplex) probe(ctx context.Context) (Stream, error) {
	l := d.link

	l.mu.Lock()
	d.epoch++
	epoch, received := d.epoch, d.received
	l.mu.Unlock()

	stream, theirs, err := d.dialAgain(ctx, epoch, received)
	if err != nil {
		return nil, err
	}

	l.mu.Lock()

	err = d.continueLocked(stream, epoch, theirs)
	if err == nil {
		d.wakeLocked()
	}
	l.mu.Unlock()

	if err != nil {
		_ = contain.Do(stream.Release) // There is nothing to do about its panic.

		return nil, err
	}

	return stream, nil
}
