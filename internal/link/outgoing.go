package link

import (
	"errors"
	"runtime"
	"time"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/ptypes"
	"google.golang.org/protobuf/proto"
)

// overhead is what a parcel takes in a frame beside its packet, at most, in bytes.
const overhead = 64

// maxMerged bounds the failures that are put together in one receipt.
const maxMerged = 256

// maxReplies bounds what is in the receipts that a neighbour does not read: one for
// each of them, and one for each failure.
const maxReplies = 100_000

var errReplies = errors.New("the neighbour does not read its receipts")

// outgoing is what a duplex link writes. It belongs to the lock of the link.
type outgoing struct {
	// order holds what has not been written.
	order order
	// transfer is the large message that is being written, or nil.
	transfer *transfer
	chunks   uint64
	// unsettled counts the parcels that the neighbour has not answered, also those
	// that nobody waits for any more: they count there, too.
	unsettled int

	// receipts and delivered are the outcomes that have not been written, and owed
	// what counts for their bound.
	receipts  []*ptypes.Receipt
	delivered []uint64
	owed      int

	// writing is set while somebody has the turn to write. Most of the time that is a
	// goroutine of the link, which rests in between, until there is more. It retires
	// when there has been nothing but heartbeats for a while.
	writing, resting, retire bool
	more                     chan struct{}
	// beat asks for a frame even if there is no content.
	beat bool
	// farewell asks for the last frame, and said is closed when that is written.
	farewell bool
	said     chan struct{}
	// shut tells whether the neighbour ends the stream after that.
	shut bool

	// last is the number of the last frame. unread holds those that the neighbour is
	// not known to have received, and resend is the place of the next to write.
	last        uint64
	unread      fifo[numbered]
	unreadBytes int
	resend      int
}

// numbered is a frame with content.
type numbered struct {
	frame *ptypes.Packet
	size  int
	// parcels are those in it that the owner has not been told about.
	parcels []*Parcel
}

// transfer is a message that is written in chunks.
type transfer struct {
	parcel *Parcel
	wire   *ptypes.Parcel
	id     uint64
	offset int
}

// wakeLocked makes sure that somebody writes what there is to write. While a frame is
// being taken, that is who takes it.
func (d *duplex) wakeLocked() {
	if d.taking || !d.idleLocked() {
		return
	}

	d.writing = true

	if d.resting {
		d.stirLocked()
	} else {
		d.link.wg.Add(1)

		go d.write()
	}
}

// idleLocked tells whether there is something to write, and nobody who does.
func (d *duplex) idleLocked() bool {
	return !d.writing && d.writableLocked() && d.dueLocked()
}

// stirLocked makes the goroutine that rests look again.
func (d *duplex) stirLocked() {
	d.resting = false
	d.more <- struct{}{}
}

// Flush sees to it that what has been added leaves. It is called after Add, when no
// lock is held any more.
func (l *Link) Flush() {
	l.mu.Lock()
	d := l.duplex
	l.mu.Unlock()

	if d != nil {
		d.flush()
	}
}

// flush writes a frame here and now if the neighbour has received all those before, for
// which no stream makes anybody wait. It saves the time that it takes to wake a
// goroutine. Otherwise that writes, which also puts more into a frame.
func (d *duplex) flush() {
	l := d.link

	l.mu.Lock()

	if d.unread.len() > 0 || !d.idleLocked() {
		d.wakeLocked()
		l.mu.Unlock()

		return
	}

	d.writing = true
	stream, frame, parcels := d.frameLocked()
	l.mu.Unlock()

	if frame != nil {
		d.writeFrame(stream, frame, parcels)
	}

	l.mu.Lock()
	d.writing = false
	d.wakeLocked()
	l.flushedLocked()
	l.mu.Unlock()
}

func (d *duplex) writableLocked() bool {
	return d.stream != nil && !d.failed && d.link.state <= closing
}

// dueLocked tells whether there is something to write.
func (d *duplex) dueLocked() bool {
	return d.contentLocked() || d.beat || d.farewell || d.resend < d.unread.len()
}

// busyLocked tells whether something is being written, or will be.
func (d *duplex) busyLocked() bool {
	return d.writing || d.dueLocked()
}

func (d *duplex) contentLocked() bool {
	if d.unread.len() >= maxUnread || d.unreadBytes >= maxUnreadBytes {
		return false
	}

	return len(d.receipts) > 0 || len(d.delivered) > 0 || d.transfer != nil ||
		d.order.len() > 0 && d.unsettled < MaxUnsettled
}

// write writes frames until it is told to retire, or the stream takes no more.
func (d *duplex) write() {
	defer d.link.wg.Done()

	for {
		stream, frame, parcels := d.nextFrame()

		switch {
		case frame != nil:
			d.writeFrame(stream, frame, parcels)
		case stream == nil:
			return
		default:
			<-d.more
			// Whoever has woken it is often one of many that are about to: what they
			// bring goes into the same frame.
			runtime.Gosched()
		}
	}
}

func (d *duplex) writeFrame(stream Stream, frame *ptypes.Packet, parcels []*Parcel) {
	_, err := contain.Call(func() (struct{}, error) { return struct{}{}, stream.Send(frame) })
	if err != nil {
		d.stall(stream, frame.GetFrame(), parcels)

		return
	}

	for _, p := range parcels {
		d.link.Owner.Sent(d.link, p)
	}

	if frame.GetGoodbye() {
		d.shut = stream.Shut()
		close(d.said)
	}
}

// stall notes that a stream takes no more frames. The parcels in the one that it has
// not taken will leave with another stream.
func (d *duplex) stall(stream Stream, number uint64, parcels []*Parcel) {
	d.link.mu.Lock()
	defer d.link.mu.Unlock()

	if confirmed := d.confirmedLocked(); number > confirmed {
		d.unread.at(int(number - confirmed - 1)).parcels = parcels
	}

	if d.stream == stream {
		d.failed = true
	}
}

// nextFrame returns what is to be written next, and where. It returns no frame when
// there is nothing: then the goroutine has to rest, or, without a stream, to end.
func (d *duplex) nextFrame() (Stream, *ptypes.Packet, []*Parcel) {
	l := d.link

	l.mu.Lock()
	defer l.mu.Unlock()

	stream, frame, parcels := d.frameLocked()
	if frame != nil {
		return stream, frame, parcels
	}

	d.writing = false
	d.resting = d.writableLocked() && !d.retire
	l.flushedLocked()

	if d.resting {
		return d.stream, nil, nil
	}

	return nil, nil, nil
}

// frameLocked returns the next frame, or none. It belongs to who has the turn.
func (d *duplex) frameLocked() (Stream, *ptypes.Packet, []*Parcel) {
	for d.writableLocked() {
		if d.resend < d.unread.len() {
			next := d.unread.at(d.resend)
			parcels := next.parcels
			next.parcels = nil
			d.resend++

			return d.stream, d.stampLocked(next.frame), parcels
		}

		if !d.contentLocked() {
			frame := d.signLocked()
			if frame == nil {
				break
			}

			return d.stream, frame, nil
		}

		d.composeLocked()
	}

	return nil, nil, nil
}

// stampLocked adds what goes with every frame.
func (d *duplex) stampLocked(frame *ptypes.Packet) *ptypes.Packet {
	frame.Received = d.received
	d.untold = 0
	d.beat = false

	return frame
}

// signLocked returns a frame without content, if one is asked for.
func (d *duplex) signLocked() *ptypes.Packet {
	switch {
	case d.farewell:
		d.farewell = false

		return d.stampLocked(&ptypes.Packet{Goodbye: true})
	case d.beat:
		return d.stampLocked(&ptypes.Packet{})
	default:
		return nil
	}
}

// composeLocked makes a frame of what waits, and puts it among those to be written.
// It gives the lock away while the packets are encoded.
func (d *duplex) composeLocked() {
	frame := &ptypes.Packet{Receipts: d.takeReceiptsLocked()}
	if len(d.receipts) == 0 {
		// They may end what the receipts have begun, and must not come before those.
		frame.Delivered, d.delivered = d.delivered, nil
		d.owed -= len(frame.Delivered)
	}

	room := d.MaxFrame
	if d.transfer != nil {
		// Neither of the two lanes waits for the other.
		room /= 2
	}

	parcels := d.takeLocked(room)

	if len(parcels) > 0 {
		d.link.mu.Unlock()
		parcels = d.encode(frame, parcels)
		d.link.mu.Lock()
	}

	if d.transfer == nil {
		d.beginLocked()
	} else {
		parcels = append(parcels, d.cutLocked(frame)...)
	}

	if len(frame.Receipts)+len(frame.Delivered)+len(frame.Parcels)+len(frame.Chunks) == 0 {
		return
	}

	d.last++
	d.unsettled += len(frame.Parcels)
	d.retire = false
	frame.Frame = d.last

	size := proto.Size(frame)
	d.unread.push(numbered{frame: frame, size: size, parcels: parcels})
	d.unreadBytes += size
}

// takeReceiptsLocked takes as many receipts as fit into half a frame, and one at least.
func (d *duplex) takeReceiptsLocked() []*ptypes.Receipt {
	size, n := 0, 0

	for n < len(d.receipts) {
		size += proto.Size(d.receipts[n])
		if n > 0 && size > d.MaxFrame/2 {
			break
		}

		d.owed -= 1 + len(d.receipts[n].GetFailures())
		n++
	}

	taken := d.receipts[:n:n]
	d.receipts = d.receipts[n:]

	if len(d.receipts) == 0 {
		d.receipts = nil
	}

	return taken
}

// takeLocked takes what goes in one piece with the next frame. There is always one,
// however large.
func (d *duplex) takeLocked(room int) []*Parcel {
	var parcels []*Parcel

	for d.unsettled+len(parcels) < MaxUnsettled {
		p := d.order.first()
		if p == nil || len(parcels) > 0 && p.size+overhead > room {
			break
		}

		d.order.take(p)
		d.link.box.mark(p)

		room -= p.size + overhead
		parcels = append(parcels, p)
	}

	return parcels
}

// encode puts the packets into a frame, and returns those that can be.
func (d *duplex) encode(frame *ptypes.Packet, parcels []*Parcel) []*Parcel {
	encoded := parcels[:0]
	now := time.Now()

	for _, p := range parcels {
		wire, err := d.wire(p, now)
		if err != nil {
			d.refuse(p, err)
		} else {
			frame.Parcels = append(frame.Parcels, wire)
			encoded = append(encoded, p)
		}
	}

	return encoded
}

// wire returns a parcel as it travels.
func (d *duplex) wire(p *Parcel, now time.Time) (*ptypes.Parcel, error) {
	return contain.Call(func() (*ptypes.Parcel, error) {
		wire := &ptypes.Parcel{
			Id:        p.id,
			Origin:    p.Origin,
			Sequence:  p.Sequence,
			HopLimit:  p.HopLimit,
			BudgetMs:  BudgetFor(p.Deadline.Sub(now)),
			Unordered: p.Unordered,
		}

		return wire, d.Encode(p, wire)
	})
}

// refuse reports a parcel that cannot be sent.
func (d *duplex) refuse(p *Parcel, err error) {
	l := d.link

	l.mu.Lock()
	removed := l.removeLocked(p)
	l.mu.Unlock()

	if removed {
		l.Owner.Failed(l, p, err)
	}
}

// beginLocked starts with the next of the large lane, if that has one.
func (d *duplex) beginLocked() {
	l := d.link

	if d.unsettled >= MaxUnsettled {
		return
	}

	p := d.order.begin()
	if p == nil {
		return
	}

	l.box.mark(p)
	l.mu.Unlock()

	wire, err := d.wire(p, time.Now())
	if err != nil {
		d.refuse(p, err)
	}

	l.mu.Lock()

	if err != nil {
		d.order.end()

		return
	}

	d.chunks++
	d.transfer = &transfer{parcel: p, wire: wire, id: d.chunks}
}

// cutLocked puts the next piece of the large message into a frame. With the last
// piece goes the parcel, which it returns.
func (d *duplex) cutLocked(frame *ptypes.Packet) []*Parcel {
	t := d.transfer

	if !d.link.box.holds(t.parcel) {
		// Its deadline has passed. A first piece of nothing lets the other end forget it.
		if t.offset > 0 {
			frame.Chunks = []*ptypes.Chunk{{Id: t.id}}
		}

		d.endTransferLocked()

		return nil
	}

	rest := t.wire.GetBody()[t.offset:]

	size := d.MaxFrame / 2
	if len(frame.Parcels) == 0 {
		size = d.MaxFrame - overhead
	}

	if len(rest) > size {
		frame.Chunks = []*ptypes.Chunk{{
			Id: t.id, Offset: uint64(t.offset), Total: uint64(len(t.wire.GetBody())), Data: rest[:size],
		}}
		t.offset += size

		return nil
	}

	last := t.wire
	last.Body = rest

	if t.offset > 0 {
		last.Chunked = t.id
	}

	frame.Parcels = append(frame.Parcels, last)
	d.endTransferLocked()

	return []*Parcel{t.parcel}
}

func (d *duplex) endTransferLocked() {
	d.order.end()
	d.transfer = nil
}

// Reply sends a receipt to the neighbour of a duplex link. It does not count for the
// bounds of the outbox.
func (l *Link) Reply(r *ptypes.Receipt) {
	l.mu.Lock()
	defer l.mu.Unlock()

	if d := l.duplex; l.state <= closing && d.owed <= maxReplies {
		d.replyLocked(r)
	}
}

// Delivered is Reply for the last receipt of a parcel, about which there is nothing more
// to say.
func (l *Link) Delivered(id uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()

	d := l.duplex
	if l.state > closing || d.owed > maxReplies {
		return
	}

	d.unanswered--

	if n := len(d.receipts); n > 0 && d.receipts[n-1].GetParcelId() == id {
		d.receipts[n-1].Last, d.receipts[n-1].Reached = true, nil
	} else {
		d.owed++
		d.delivered = append(d.delivered, id)
	}

	d.replyDueLocked()
}

// replyDueLocked sees to it that the outcomes leave, unless there are too many.
func (d *duplex) replyDueLocked() {
	if d.owed > maxReplies {
		// The caller may hold the lock of the outcomes, which the loss will need.
		go d.link.Fail(errReplies)
	}

	d.wakeLocked()
}

// replyLocked takes an outcome for the neighbour. What follows another of the same
// parcel that has not left yet is merged with it.
func (d *duplex) replyLocked(r *ptypes.Receipt) {
	if r.GetLast() {
		d.unanswered--
	}

	n := len(d.receipts)

	switch {
	case n > 0 && d.receipts[n-1].GetParcelId() == r.GetParcelId() &&
		len(d.receipts[n-1].GetFailures()) < maxMerged:
		before := d.receipts[n-1]
		d.owed += len(r.GetFailures())
		before.Failures = append(before.Failures, r.GetFailures()...)
		before.Reached = append(before.Reached, r.GetReached()...)
		before.Last = r.GetLast()

		if before.GetLast() {
			before.Reached = nil
		}
	default:
		d.owed += 1 + len(r.GetFailures())
		d.receipts = append(d.receipts, r)
	}

	d.replyDueLocked()
}

// confirmLocked forgets the frames up to the one that the neighbour has received.
func (d *duplex) confirmLocked(received uint64) error {
	if received > d.last || received+uint64(d.unread.len()) < d.last {
		return errProtocol
	}

	for d.confirmedLocked() < received {
		d.unreadBytes -= d.unread.pop().size
		d.resend--
	}

	d.resend = max(d.resend, 0)

	return nil
}

// confirmedLocked returns the number of the last frame that the neighbour is known to
// have received.
func (d *duplex) confirmedLocked() uint64 {
	return d.last - uint64(d.unread.len())
}
