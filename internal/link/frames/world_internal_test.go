package frames

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/minogrpc/session/internal/parcel"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router"
)

// The world is two machines, the lines between them, and the least of a link around each:
// what the driver and the owner do. Nothing in it happens by itself. Whatever may happen
// next is an action, and the search tries all of them.

// bound is how far the search goes.
type bound struct {
	// parcels is how many each end adds. The second of them is a large one.
	parcels int
	// cuts is how many streams break, and goodbyes how many ends close by themselves.
	cuts, goodbyes int
	// silences is how many streams an end gives up though they are there.
	silences int
	// inFlight is how many frames a line holds in each direction, unread how many frames
	// a machine keeps that are not acknowledged, and unsettled how many parcels.
	inFlight, unread, unsettled int
	// late is how many of the parcels of each end are added at any time, and not in the
	// beginning.
	late int
	// pauses is set when anything may happen between the moment at which a frame counts
	// as received and that at which the owner is told about it.
	pauses bool
	// hurries is set when the time for a goodbye may be over at any moment, and not only
	// when nothing else happens.
	hurries bool
	// turns is how often the way up of the near end, which is the parent, is cut or whole again.
	turns int
	// ticks is set when heartbeats may come at any time, and not only when nothing else
	// happens.
	ticks bool
	// paced is set when both ends follow the speed of the lines, in which no time passes.
	paced bool
}

const (
	near = 0 // the end that dials
	far  = 1

	tinyFrame = 256 + headSize

	// tinyWindow is so small that frames ask to be acknowledged.
	tinyWindow = 512

	large    = 250
	maxLines = 6
)

// still is the time of the world.
var still = time.Unix(1000, 0)

var errCut = errors.New("the line has been cut")

// phase is how far an end is with its goodbye.
type phase int

const (
	lives phase = iota
	// flushes waits until nothing is left to write, and parts for the end of the stream.
	flushes
	parts
	gone
)

// fate is what an end knows of a parcel of its own.
type fate int

const (
	unknown fate = iota
	delivered
	refused
	reported // given back, without word of the neighbour
)

// node is one end.
type node struct {
	m   *Machine
	box *parcel.Box

	phase phase
	// hurried is set when what was left was given up, as too much time had passed.
	hurried bool
	// line is the epoch of the stream that is read and written, and dialled that of the
	// one that is being opened; 0 is none.
	line, dialled int

	added int
	fates [5]fate
	sent  [5]int
	// arrived are the parcels of the other end, in their order, and answered those that
	// have been answered before the flush was over.
	arrived  []uint64
	answered [5]bool
	// taken is the frame that is being taken, with the parcels in it.
	taken    *ptypes.Packet
	arrivals []Arrival
	goodbye  bool
}

// line is one stream.
type line struct {
	// offered is set while the offer is on its way, and answered when the far end has
	// accepted it: the answer, which says what that has received, is then the next to
	// read. refused is set when it was not accepted.
	offered, answered, refused bool
	received, theirs           uint64

	cut bool
	// over is set when the far end has left, which the near one notices after the frames.
	over bool
	// left is set when the near end has given the stream up. What it has written may still arrive
	// over the old connection, until the far end notices.
	left bool
	// frames are on their way to either end.
	frames [2][]*ptypes.Packet
}

// world is a state of everything.
type world struct {
	*bound

	nodes [2]node
	lines [maxLines]line
	// cuts is how many streams have broken, and quiet how many an end has given up.
	cuts, quiet int
	// closed is how many ends have closed by themselves.
	closed int
	// turned is how often the way up of the near end has changed.
	turned int
}

func newWorld(b *bound, f fault) *world {
	w := &world{bound: b}

	for side := range w.nodes {
		n := &w.nodes[side]
		n.box = &parcel.Box{MaxPackets: 100, MaxBytes: 1 << 20}
		n.m = New(Config{
			Box: n.box, Dialler: side == near, MaxFrame: tinyFrame, MaxBody: 1 << 20,
			Silence: time.Minute, Patience: time.Minute, Cuts: true, Paced: b.paced,
		}, still)
		n.m.bounds = bounds{unsettled: b.unsettled, unread: b.unread, unreadBytes: 1 << 20}
		n.m.fault = f
		n.m.window = tinyWindow
		n.line = 1

		for range b.parcels - b.late {
			w.add(side)
		}
	}

	return w
}

func (w *world) clone() *world {
	c := *w

	for side := range c.nodes {
		n := &c.nodes[side]

		var copies [5]*parcel.Parcel

		copyOf := func(p *parcel.Parcel) *parcel.Parcel {
			if copies[p.ID] == nil {
				double := *p
				copies[p.ID] = &double
			}

			return copies[p.ID]
		}

		n.box = n.box.Clone(copyOf)
		n.m = n.m.clone(n.box, copyOf)
		n.arrived = slices.Clip(n.arrived)
	}

	for i := range c.lines {
		for side := range c.lines[i].frames {
			c.lines[i].frames[side] = slices.Clip(c.lines[i].frames[side])
		}
	}

	return &c
}

// sketch distinguishes the state from all others.
func (w *world) sketch(p sketch) sketch {
	p.num(w.cuts, w.quiet, w.closed, w.turned)

	known := [2]uint64{w.nodes[near].m.acknowledged(), w.nodes[far].m.acknowledged()}

	for side := range w.nodes {
		p.node(w, side)
	}

	for i := 1; i < maxLines; i++ {
		l := &w.lines[i]
		p.flags(l.offered, l.answered, l.refused, l.cut, l.over, l.left)

		if l.offered || l.answered {
			p.num(int(l.received)-int(known[far]), int(l.theirs)-int(known[near]))
		}

		for side, frames := range l.frames {
			p.num(len(frames))

			for _, f := range frames {
				p.frame(f, known[1-side], known[side])
			}
		}
	}

	return p
}

// node adds an end. What has been checked for good is left out.
func (p *sketch) node(w *world, side int) {
	n, other := &w.nodes[side], &w.nodes[1-side]

	// Where one end has gone, the other has only to notice.
	if n.phase != gone && (other.phase != gone || n.line != 0 && len(w.lines[n.line].frames[side]) > 0) {
		p.machine(n.m, other.m)
	}

	p.num(int(n.phase), n.line, n.dialled, n.added, len(n.arrivals), n.box.Len())
	p.flags(n.hurried, n.goodbye, n.taken != nil)

	for id := 1; id <= w.parcels; id++ {
		p.num(int(n.fates[id]))
		p.flags(slices.Contains(n.arrived, uint64(id)))

		if n.fates[id] == unknown {
			p.num(n.sent[id])
			p.flags(other.answered[id])
		}
	}

	for _, a := range n.arrivals {
		p.num(int(a.GetId()))
	}
}

// message is a packet of which only the message matters.
type message struct {
	router.Packet

	data []byte
}

func (m message) GetMessage() []byte { return m.data }

var (
	small = message{data: []byte("x")}
	big   = message{data: make([]byte, large)}
	flows = []string{"", "x", "x", "y", "x"}
	dests = make([]mino.Address, 1)
)

// add adds the next parcel of an end. The first two go to one receiver, and the first two
// keep their order with what follows for it.
func (w *world) add(side int) {
	n := &w.nodes[side]
	n.added++

	packet := small
	if n.added == 2 {
		packet = big
	}

	key := flows[n.added]
	if side == far {
		key = "x"
	}

	p := &parcel.Parcel{
		Header: parcel.Header{Sequence: uint64(n.added), Deadline: still.Add(time.Hour)},
		Packet: packet, Keys: []string{key}, Dests: dests,
	}

	must(n.box.Add(p))
	n.m.Push(p)
}

// must ends the search of a state that must not be.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

func failf(format string, args ...any) {
	panic(fmt.Errorf(format, args...))
}

// next composes the next frame of an end, as its driver does.
func (n *node) next() (*ptypes.Packet, []*parcel.Parcel) {
	return n.nextAt(still)
}

// nextAt is next at another time.
func (n *node) nextAt(now time.Time) (*ptypes.Packet, []*parcel.Parcel) {
	for {
		frame, parcels := n.m.Next(now)
		if frame != nil {
			return frame, parcels
		}

		draft, ok := n.m.Draft()
		if !ok {
			return nil, nil
		}

		for _, p := range draft.Parcels {
			draft.Frame.Parcels = append(draft.Frame.Parcels, wireOf(p))
		}

		if p := n.m.Compose(draft); p != nil {
			n.m.Begin(p, wireOf(p))
		}
	}
}

func wireOf(p *parcel.Parcel) *ptypes.Parcel {
	return &ptypes.Parcel{Id: p.ID, Sequence: p.Sequence, Header: []byte(p.Keys[0]), Body: p.Packet.GetMessage()}
}

// write writes the next frame. Over a line that has been cut it may be lost, or not be taken.
func (w *world) write(side int, taken bool) {
	n := &w.nodes[side]
	l := &w.lines[n.line]
	frame, parcels := n.next()

	if frame == nil {
		return
	}

	if !taken {
		n.m.Stalled(uint64(n.line), frame.GetFrame(), parcels)

		return
	}

	for _, p := range parcels {
		n.sent[p.ID]++

		if n.sent[p.ID] > 1 {
			failf("end %d is told twice that parcel %d has left", side, p.ID)
		}
	}

	if !l.cut && (side == far && !l.left || side == near && !l.over) {
		l.frames[1-side] = append(slices.Clip(l.frames[1-side]), copyFrame(frame))
	}

	if n.m.unread.Len() > w.unread {
		failf("end %d keeps %d frames", side, n.m.unread.Len())
	}
}

// read takes the next frame, up to what it says about the parcels of this end.
func (w *world) read(side int) {
	n := &w.nodes[side]
	l := &w.lines[n.line]

	frame := copyFrame(l.frames[side][0])
	l.frames[side] = l.frames[side][1:]

	content, err := n.m.Admit(frame, still)
	must(err)

	if content {
		n.arrivals, err = n.m.Assemble(frame)
		must(err)
	}

	n.goodbye = n.m.Part(frame)
	n.taken = frame

	if content {
		for _, a := range n.m.Settle(frame) {
			if len(a.Answer().Failures) > 0 {
				w.settle(side, a.Parcel.ID, refused)
			} else {
				w.settle(side, a.Parcel.ID, delivered)
			}
		}
	}

	if len(n.arrivals) == 0 || !w.pauses {
		w.deliver(side)
	}
}

// deliver hands what has come to the owner, who answers at once.
func (w *world) deliver(side int) {
	n := &w.nodes[side]

	for _, a := range n.arrivals {
		n.answered[a.GetId()] = n.answered[a.GetId()] || n.phase < parts

		if n.phase == lives {
			w.arrive(side, a)
			must(n.m.Delivered(a.GetId()))
		} else {
			must(n.m.Reply(refusal(a.GetId())))
		}
	}

	goodbye := n.goodbye
	n.taken, n.arrivals, n.goodbye = nil, nil, false
	n.m.Told(nil, nil)

	if goodbye {
		w.requireNothingDropped(side)
		w.close(side)
	}
}

// refusal is the answer of an owner that has closed.
func refusal(id uint64) *ptypes.Receipt {
	return &ptypes.Receipt{ParcelId: id, Failures: []*ptypes.Failure{{}}, Last: true}
}

func (w *world) arrive(side int, a Arrival) {
	n, other := &w.nodes[side], &w.nodes[1-side]
	id := a.GetId()

	if slices.Contains(n.arrived, id) {
		failf("parcel %d arrives twice at end %d", id, side)
	}

	if id == 2 && len(a.GetBody()) != large || id != 2 && len(a.GetBody()) != 1 || a.Err != nil {
		failf("parcel %d is not what was sent", id)
	}

	for earlier := uint64(1); earlier < id; earlier++ {
		same := 1-side == far || flows[earlier] == flows[id]
		if same && !slices.Contains(n.arrived, earlier) && other.fates[earlier] < refused {
			failf("parcel %d arrives at end %d before %d", id, side, earlier)
		}
	}

	n.arrived = append(slices.Clip(n.arrived), id)
}

func (w *world) settle(side int, id uint64, f fate) {
	n, other := &w.nodes[side], &w.nodes[1-side]

	switch {
	case n.fates[id] != unknown:
		failf("parcel %d of end %d is settled twice", id, side)
	case f == delivered && !slices.Contains(other.arrived, id):
		failf("parcel %d of end %d counts as delivered before it is", id, side)
	}

	n.fates[id] = f
}

// requireNothingDropped fails when the other end has said goodbye without the answers that
// it owed, though it had the time.
func (w *world) requireNothingDropped(side int) {
	n, other := &w.nodes[side], &w.nodes[1-side]

	for id, answered := range other.answered {
		if answered && n.fates[id] == unknown && !other.hurried {
			failf("the goodbye of end %d has dropped its answer to parcel %d", 1-side, id)
		}
	}
}

// close begins the goodbye of an end.
func (w *world) close(side int) {
	n := &w.nodes[side]
	if n.phase == lives {
		n.phase = flushes
	}
}

// part ends the flush of an end, and says goodbye if that can be said.
func (w *world) part(side int, hurried bool) {
	n := &w.nodes[side]
	n.hurried = n.hurried || hurried
	w.drain(side)

	if !n.m.Connected() {
		w.leave(side)

		return
	}

	n.phase = parts
	n.m.Farewell()
}

// drain reports what is left in the box of an end.
func (w *world) drain(side int) {
	n := &w.nodes[side]
	for _, p := range n.box.Drain() {
		w.settle(side, p.ID, reported)
	}

	n.m.Drained()
}

// leave is the end of a link.
func (w *world) leave(side int) {
	n := &w.nodes[side]
	w.drain(side)

	if n.phase = gone; n.line != 0 {
		l := &w.lines[n.line]
		if side == near {
			w.sever(n.line)
		} else {
			l.over = true
			l.frames[far] = nil
		}
	}

	if n.dialled != 0 {
		w.sever(n.dialled)
	}

	n.line, n.dialled = 0, 0
	n.taken, n.arrivals, n.goodbye = nil, nil, false
}

// sever breaks a line: what is on its way is lost.
func (w *world) sever(i int) {
	l := &w.lines[i]
	l.cut = true
	l.frames = [2][]*ptypes.Packet{}
}

// notice tells an end that its stream has ended.
func (w *world) notice(side int) {
	n := &w.nodes[side]
	l := &w.lines[n.line]

	cause := errCut

	switch {
	case l.cut || !l.over:
	case w.nodes[far].phase == lives:
		cause = ErrUnheard
	default:
		cause = io.EOF
	}

	if side == near || l.left {
		// It gives the stream up.
		w.sever(n.line)
	}

	w.ended(side, cause)
}

// silence lets an end give up its stream, because it hears nothing over it. It ends the stream.
func (w *world) silence(side int) {
	n := &w.nodes[side]
	l := &w.lines[n.line]
	w.quiet++

	switch {
	case n.m.fault == keptStream:
	case side == near:
		l.left = true
	default:
		l.over = true
	}

	l.frames[side] = nil
	w.ended(side, ErrSilent)
}

// ended goes on when the stream of an end is over.
func (w *world) ended(side int, cause error) {
	n := &w.nodes[side]
	n.line = 0
	verdict := n.m.Ended(cause, still)

	switch {
	case n.phase != lives:
	case verdict == Over:
		w.leave(side)
	case verdict == Redial:
		w.dial()
	}
}

// dial opens the next stream.
func (w *world) dial() {
	n := &w.nodes[near]
	epoch, received := n.m.NextEpoch()

	if epoch >= maxLines {
		failf("stream %d is opened", epoch)
	}

	n.dialled = int(epoch)
	w.lines[epoch] = line{offered: true, received: received}
}

// offer brings an offer to the far end, however late.
func (w *world) offer(i int) {
	n, l := &w.nodes[far], &w.lines[i]
	l.offered = false
	epoch := n.m.epoch

	if n.phase != lives || n.m.Opened(uint64(i), l.received, still) != nil {
		l.refused = true

		return
	}

	if n.m.epoch <= epoch {
		failf("stream %d is taken after stream %d", i, epoch)
	}

	if n.line != 0 {
		w.sever(n.line)
	}

	n.line = i
	l.answered, l.theirs = true, n.m.Received()
}

// answer brings the answer to an offer to the near end.
func (w *world) answer(i int) {
	n, l := &w.nodes[near], &w.lines[i]
	l.answered = false
	n.dialled = 0

	if n.phase != lives {
		w.sever(i)

		return
	}

	must(n.m.Opened(uint64(i), l.theirs, still))
	n.line = i
}
