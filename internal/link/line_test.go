package link_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/ptypes"
	"google.golang.org/protobuf/proto"
)

// window is how many frames a stream holds that have not been read.
const window = 8

// errCut is the end of a stream that a test has cut.
var errCut = errors.New("the stream has been cut")

// wire is a stream in memory, with the faults that a test wants. It carries bytes, as
// a network does.
type wire struct {
	// near belongs to who has dialled.
	near, far *socket

	// cut is closed when the stream is over, by whatever means.
	cut  chan struct{}
	once sync.Once
	// fuse is how many frames the stream carries before it breaks, and count how many
	// it has carried.
	fuse, count atomic.Int64
	// lag is how long it takes to read a frame, in nanoseconds.
	lag atomic.Int64
}

// socket is one end of a wire. It implements link.Stream.
type socket struct {
	wire    *wire
	in, out *flow

	// over is closed when the handler of a stream that was accepted has returned.
	over chan struct{}
	once sync.Once

	// released counts the calls of Release.
	released atomic.Int32
}

// flow is one direction of a wire.
type flow struct {
	frames chan []byte
	// shut is closed when nothing more will be written, and status is set before.
	shut   chan struct{}
	once   sync.Once
	status error

	mu sync.Mutex
	// frozen is closed when the flow goes on. It is nil while that flows.
	frozen chan struct{}
	// read are the frames that have been.
	read []weak.Pointer[ptypes.Packet]
}

func newWire(fuse int) *wire {
	to, back := newFlow(), newFlow()
	w := &wire{cut: make(chan struct{})}
	w.near = &socket{wire: w, in: back, out: to, over: make(chan struct{})}
	w.far = &socket{wire: w, in: to, out: back, over: make(chan struct{})}
	w.fuse.Store(int64(fuse))

	return w
}

func newFlow() *flow {
	return &flow{frames: make(chan []byte, window), shut: make(chan struct{})}
}

// delay makes the stream slow.
func (w *wire) delay(d time.Duration) {
	w.lag.Store(int64(d))
}

// sent returns how many frames have been sent in both directions.
func (w *wire) sent() int64 {
	return w.count.Load()
}

// alive returns how many frames that have been read are still in use.
func (f *flow) alive() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()

	for _, frame := range f.read {
		if frame.Value() != nil {
			n++
		}
	}

	return n
}

func (w *wire) end() {
	w.once.Do(func() { close(w.cut) })
}

// freeze stops what has not been read from being read.
func (f *flow) freeze() {
	f.mu.Lock()
	defer f.mu.Unlock()

	if f.frozen == nil {
		f.frozen = make(chan struct{})
	}
}

func (f *flow) thaw() {
	f.mu.Lock()
	defer f.mu.Unlock()

	if f.frozen != nil {
		close(f.frozen)
		f.frozen = nil
	}
}

// waitForThaw returns false when the wire is cut before.
func (s *socket) waitForThaw() bool {
	s.in.mu.Lock()
	frozen := s.in.frozen
	s.in.mu.Unlock()

	if frozen == nil {
		return true
	}

	select {
	case <-frozen:
		return true
	case <-s.wire.cut:
		return false
	case <-s.over:
		return false
	}
}

// Send implements link.Stream.
func (s *socket) Send(frame *ptypes.Packet) error {
	data, err := proto.Marshal(frame)
	if err != nil {
		return err
	}

	if s.wire.fuse.Add(-1) < 0 {
		s.wire.end()
	}

	select {
	case <-s.wire.cut:
		return io.EOF
	default:
	}

	select {
	case s.out.frames <- data:
		s.wire.count.Add(1)

		return nil
	case <-s.wire.cut:
		return io.EOF
	case <-s.over:
		return errCut
	}
}

// Recv implements link.Stream. What is on its way when the wire is cut is lost.
func (s *socket) Recv() (*ptypes.Packet, error) {
	select {
	case data := <-s.in.frames:
		return s.read(data)
	case <-s.wire.cut:
		return nil, errCut
	case <-s.over:
		return nil, errCut
	case <-s.in.shut:
	}

	select {
	case data := <-s.in.frames:
		return s.read(data)
	default:
		return nil, s.in.status
	}
}

func (s *socket) read(data []byte) (*ptypes.Packet, error) {
	if !s.waitForThaw() {
		return nil, errCut
	}

	time.Sleep(time.Duration(s.wire.lag.Load()))

	frame := &ptypes.Packet{}

	s.in.mu.Lock()
	s.in.read = append(s.in.read, weak.Make(frame))
	s.in.mu.Unlock()

	return frame, proto.Unmarshal(data, frame)
}

// Shut implements link.Stream. As over gRPC, only who has dialled can wait for more.
func (s *socket) Shut() bool {
	s.hangUp(io.EOF)

	return s == s.wire.near
}

// hangUp ends the stream for the other end, when that has read what is on its way.
func (s *socket) hangUp(status error) {
	s.out.once.Do(func() {
		s.out.status = status
		close(s.out.shut)
	})
}

// leave is the end of the handler of a stream that was accepted.
func (s *socket) leave(status error) {
	s.hangUp(status)
	s.once.Do(func() { close(s.over) })
}

// Release implements link.Stream. As over gRPC, only who has dialled can end the stream
// in the middle of something.
func (s *socket) Release() {
	s.released.Add(1)

	if s == s.wire.near {
		s.wire.end()
	}
}

// redial is how the next attempt to go on after a break ends.
type redial int

const (
	succeeds redial = iota
	// fails without the neighbour, which might work the next time.
	fails
	// refused is for ever.
	refused
	// unanswered has arrived, but nobody learns that.
	unanswered
	// hangs until the dialler has no patience left.
	hangs
	// slow takes as long as slowness, if the dialler waits for that.
	slow
)

// slowness is more than the patience of the dialler.
const slowness = 2 * patience

var errRedial = errors.New("the test lets no stream through")

// redial implements Frames.Redial for the end that dials.
func (p *pair) redial(ctx context.Context, next link.Next) (link.Stream, uint64, error) {
	result, fuse := p.nextRedial()

	switch result {
	case fails:
		return nil, 0, errRedial
	case refused:
		return nil, 0, link.ErrGone
	case hangs:
		<-ctx.Done()

		return nil, 0, context.Cause(ctx)
	case slow:
		select {
		case <-ctx.Done():
			return nil, 0, context.Cause(ctx)
		case <-time.After(slowness):
		}
	case succeeds, unanswered:
	}

	if p.onRedial != nil {
		p.onRedial()
	}

	w := newWire(fuse)

	p.mu.Lock()
	onWire := p.onWire
	p.mu.Unlock()

	if onWire != nil {
		onWire(w)
	}

	before := p.wire()
	p.addWire(w)

	theirs, resumed := p.callee.resume(w, next.Epoch, next.Received)
	p.leave(before)

	if !resumed {
		w.near.Release()
		w.far.Release()
		w.far.leave(io.EOF)

		return nil, 0, link.ErrGone
	}

	if result == unanswered {
		w.near.Release()

		return nil, 0, errRedial
	}

	return w.near, theirs, nil
}
