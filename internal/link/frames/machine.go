// Package frames is what one end of a duplex link knows and decides: which frames it
// writes, which of them count, and how it goes on after a break.
//
// A [Machine] has no goroutine, no lock, no stream and no clock. Its methods are the
// events (a frame has been read, a parcel is added, a stream has ended, a moment has come),
// and what they return are the actions that its driver, the link, has to take: a frame to
// write, parcels to deliver or to settle, a stream to open, an end. So two machines and
// every line between them can be tried out.
//
// The frames with content are numbered, and kept until the other end says that it has
// received them. After a break the next stream continues where the last one ended: nothing
// is lost, and nothing arrives twice, while the link lives.
package frames

import (
	"errors"
	"time"

	"github.com/minogrpc/session/internal/parcel"
)

// MaxUnsettled is how many parcels may be on their way to the neighbour without an
// outcome.
const MaxUnsettled = 10_000

// maxUnread bounds what is kept for a neighbour that does not say that it has received
// it: in frames, and in bytes. What comes after waits. The flow control of the stream
// stops an honest one long before.
const (
	maxUnread      = 10_000
	maxUnreadBytes = 16 << 20
)

// maxFruitless is how many streams in a row may end soon after they were opened without
// getting a single frame across. There is one that the neighbour cannot take, or the
// neighbour does not mean it.
const maxFruitless = 8

// maxMute is how many streams in a row may end by silence without getting anything across. The
// neighbour can be reached then, but nothing ever comes of it.
const maxMute = 2

// moment is how long a stream has to last to have been of use when there is nothing to get across.
const moment = 250 * time.Millisecond

var (
	// ErrProtocol is wrapped by the errors of a neighbour that breaks the rules.
	ErrProtocol = errors.New("the neighbour breaks the rules of the link")

	// ErrOld is the error of a stream that is not newer than the last one.
	ErrOld = errors.New("a newer stream has been opened")

	// ErrOver is the error of a stream that is opened after the goodbye.
	ErrOver = errors.New("the neighbour has said goodbye")

	// ErrSilent is why this end gives up a stream over which no sign of life comes.
	ErrSilent = errors.New("the neighbour has been silent for too long")

	// ErrUnheard is wrapped by the end of a stream that the neighbour has given up, because it
	// heard nothing of this end.
	ErrUnheard = errors.New("the neighbour has heard nothing for too long")
)

// Config is what a machine is made of.
type Config struct {
	// Box holds the parcels of this end.
	Box *parcel.Box

	// Dialler is set at the end that opens the streams.
	Dialler bool

	// MaxFrame bounds what is put together in one frame, in bytes.
	MaxFrame int

	// MaxBody bounds a message that comes in chunks, in bytes, and MaxHeader the header
	// that comes with it in the same way. Zero is no limit of the header.
	MaxBody, MaxHeader int

	// Paced is set when both ends can follow the speed of a slow link: acknowledge at once
	// when they are asked, cut headers, and say what they have read.
	Paced bool

	// Timed is set when this end measures how long the way takes. It answers in any case.
	Timed bool

	// Text is set when the packets travel in a format of text.
	Text bool

	// Cuts is set when the parent says whether its way up is cut.
	Cuts bool

	// Silence is how long the neighbour may give no sign of life. Patience is how long a
	// stream has to last to have been of use.
	Silence, Patience time.Duration
}

// bounds are those of the protocol. Only tests have smaller ones.
type bounds struct {
	unsettled, unread, unreadBytes int
}

// Machine is the state of one end. The driver calls it under the lock of the link, but for
// Assemble and Recycle.
type Machine struct {
	Config

	outgoing
	incoming
	pulse
	upward

	trip trip

	bounds bounds
	// fault is what a test has planted.
	fault fault

	// connected is set while there is a stream, and epoch is the number of the last one.
	connected bool
	epoch     uint64
	// failed is set when the stream has not taken a frame. Its reader will say why, or
	// a later tick gives it up.
	failed bool

	// began is when the stream was opened, and confirmed the number of the last frame
	// that the neighbour had received then. fruitless counts the streams in a row that have
	// ended soon and without another.
	began     time.Time
	confirmed uint64
	fruitless int
	// mute counts the streams in a row that have ended by silence at either end, and got nothing
	// across towards that end.
	mute int
}

// New returns the machine for a first stream, in whose set-up nothing has been exchanged
// yet.
func New(cfg Config, now time.Time) *Machine {
	m := &Machine{Config: cfg, connected: true, epoch: 1, began: now}
	m.bounds = bounds{unsettled: MaxUnsettled, unread: maxUnread, unreadBytes: maxUnreadBytes}
	m.pace = pace{window: firstWindow, base: maxBase}
	m.order.limit = m.frameSize() / 2
	m.restart(now)
	m.due = now.Add(m.interval())

	return m
}

// Accepted notes that the neighbour has accepted the first stream, over which this end may have written
// before. The time until then says nothing about the neighbour.
func (m *Machine) Accepted(patience time.Duration, now time.Time) {
	m.Patience, m.began = patience, now
	m.due = now.Add(m.interval())
	m.restart(now)
}

// NextEpoch starts an attempt to open another stream. It returns the number of the stream,
// and that of the last frame that this end has received.
func (m *Machine) NextEpoch() (epoch, received uint64) {
	m.epoch++

	return m.epoch, m.received
}

// Received returns the number of the last frame that this end has received.
func (m *Machine) Received() uint64 {
	return m.received
}

// Heard returns when the last sign of life has come.
func (m *Machine) Heard() time.Time {
	return m.heard
}

// Opened goes on with a stream, in whose set-up the neighbour has said what it has
// received. After an error the stream is of no use.
func (m *Machine) Opened(epoch, received uint64, now time.Time) error {
	old := epoch < m.epoch || epoch == m.epoch && !m.Dialler

	switch {
	case m.over:
		return ErrOver
	case old && m.fault != oldEpoch:
		return ErrOld
	}

	if err := m.confirm(received, time.Time{}); err != nil {
		return err
	}

	m.connected, m.epoch, m.failed = true, epoch, false
	m.resend = 0
	m.beat = m.beat || m.told

	if m.fault == wrongResend {
		m.resend = min(1, m.unread.Len())
	}

	m.restart(now)
	m.began, m.confirmed = now, m.acknowledged()

	return nil
}

// Verdict is how a link goes on when its stream has ended.
type Verdict int

const (
	// Over is the end of the link.
	Over Verdict = iota
	// Redial opens another stream.
	Redial
	// Wait waits for the neighbour to open one.
	Wait
)

// Ended notes that the stream has ended, and decides how to go on. Its frames do not count
// any more, whenever they come.
func (m *Machine) Ended(cause error, now time.Time) Verdict {
	m.count(cause, now)
	m.connected, m.failed = false, false

	if m.fault == lostReceipts {
		m.receipts, m.delivered, m.owed = nil, nil, 0
	}

	switch {
	case m.over, errors.Is(cause, ErrProtocol), m.Dialler && m.inVain():
		return Over
	case m.Dialler:
		return Redial
	default:
		return Wait
	}
}

// count counts the stream that ends, unless it was of use: it has got something across, or
// has lasted, for a moment at least if there was nothing to get across.
func (m *Machine) count(cause error, now time.Time) {
	lasted := now.Sub(m.began)

	if m.wasMute(cause, lasted) {
		m.mute++
	} else {
		m.mute = 0
	}

	switch {
	case m.acknowledged() > m.confirmed,
		!m.failed && lasted >= m.Patience,
		m.unread.Len() == 0 && lasted >= moment:
		m.fruitless = 0
	default:
		m.fruitless++
	}
}

// wasMute tells whether a stream has ended by silence without getting anything across towards the
// end that heard nothing. One that has lasted for long was heard in between.
func (m *Machine) wasMute(cause error, lasted time.Duration) bool {
	switch {
	case errors.Is(cause, ErrSilent):
		return !m.heard.After(m.began)
	case errors.Is(cause, ErrUnheard):
		return m.acknowledged() == m.confirmed && lasted < 2*m.Silence
	default:
		return false
	}
}

// inVain tells whether there is no use in another stream.
func (m *Machine) inVain() bool {
	return m.fruitless >= maxFruitless || m.mute >= maxMute
}

// Parting tells whether the neighbour has said goodbye.
func (m *Machine) Parting() bool {
	return m.over
}

// Writable tells whether the stream takes frames. After the goodbye it takes none: another
// would be the end of the stream, and cost the neighbour the goodbye.
func (m *Machine) Writable() bool {
	return m.Connected() && !m.left
}

// Connected tells whether there is a stream, and it has taken all frames.
func (m *Machine) Connected() bool {
	return m.connected && !m.failed
}

// Drained forgets what waits: the box has been emptied. What has left stays.
func (m *Machine) Drained() {
	m.order.clear()
	m.transfer = nil
}

// Rest gives back the memory of what waits when nothing does.
func (m *Machine) Rest() {
	if m.order.len() == 0 && m.order.leaving == nil {
		m.order.clear()
	}
}

// Expired forgets what is not in the box any more: what cannot leave must not be kept, as
// more may be added in its place.
func (m *Machine) Expired() {
	m.order.retain(m.Box.Holds)
}
