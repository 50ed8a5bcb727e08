package link_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/internal/memory"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router"
	"github.com/stretchr/testify/require"
)

const (
	silence  = 9 * time.Second
	patience = 2 * time.Second
	grace    = 20 * time.Second
	deadline = time.Minute

	// endless is a fuse that does not burn down.
	endless = 1 << 30

	maxFrame = 16 << 10
)

// message is a packet of which only the message matters.
type message struct {
	router.Packet

	data []byte
}

func (m message) GetMessage() []byte { return m.data }

// pair is two links that are the two ends of one, in a bubble: one dials the other.
type pair struct {
	t *testing.T

	dialler, callee *end
	// encode is how packets travel.
	encode func(*link.Parcel, *ptypes.Parcel) error
	// onRedial is called before the end that does not dial is asked to go on.
	onRedial func()
	// onWire is called with each stream that is opened after a break.
	onWire func(w *wire)
	// wait is how long the end that does not dial says that it waits.
	wait time.Duration

	mu    sync.Mutex
	wires []*wire
	// redials are how the next attempts end, and fuses how long the streams last that
	// they open. After the last all succeed, and last.
	redials []redial
	fuses   []int
}

// end is the owner of one of the two links, and notes what it is told.
type end struct {
	link *link.Link
	name string

	// answer is how a parcel is answered, and watch is told of each before.
	answer func(e *end, a link.Arrival)
	watch  func(a link.Arrival)
	// onBreak is called before a break is noted.
	onBreak func()
	// serving is the wire of the stream that the end has accepted last. It ends that when it is silent:
	// the other end may be opening the next one already.
	serving *wire
	budget  *memory.Budget

	mu sync.Mutex
	// arrived are the parcels from the other end, in their order, sent those that the
	// owner was told of, and added those that the link has taken.
	arrived []link.Arrival
	sent    map[uint64]int
	added   []*link.Parcel
	// settled counts the outcomes of a parcel, by its sequence: last receipts, failures,
	// and those that the link has given back. reached are those that have been answered.
	settled map[uint64]int
	// told has the destinations of a parcel that an answer before the last one was about.
	told    map[uint64]map[int]bool
	reached map[uint64]bool
	failed  map[uint64]error

	broken, goodbyes, lost, released int
	cause                            error
	timer                            *time.Timer
}

func newEnd(name string) *end {
	return &end{
		name: name, answer: answerAtOnce, budget: memory.NewBudget(1 << 30),
		sent: make(map[uint64]int), settled: make(map[uint64]int), reached: make(map[uint64]bool),
		told: make(map[uint64]map[int]bool), failed: make(map[uint64]error),
	}
}

func answerAtOnce(e *end, a link.Arrival) {
	e.link.Reply(&ptypes.Receipt{ParcelId: a.GetId(), Last: true})
}

func (e *end) config() link.Config {
	return link.Config{
		Key: e.name, Owner: e, Setup: time.Second, Silence: silence, Patience: patience,
		MaxPackets: 100_000, MaxBytes: 1 << 30, Budget: e.budget,
	}
}

// frames is what an end needs beside the stream.
func (p *pair) frames(stream link.Stream) link.Frames {
	return link.Frames{
		Stream: stream, MaxFrame: maxFrame, MaxBody: 128 << 20,
		Encode: func(parcel *link.Parcel, wire *ptypes.Parcel) error { return p.encode(parcel, wire) },
	}
}

func encode(p *link.Parcel, wire *ptypes.Parcel) error {
	wire.Header, wire.Body = []byte(p.Keys[0]), p.Packet.GetMessage()

	return nil
}

// inPair runs a test with two links in a bubble. When it is over both must have left
// nothing.
func inPair(t *testing.T, test func(t *testing.T, p *pair)) {
	t.Helper()

	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		p.open(endless)

		// Also when the test has failed: a bubble must not be left with goroutines.
		defer func() {
			p.finish()
			require.Empty(t, p.wrong())
		}()

		test(t, p)
	})
}

func newPair(t *testing.T) *pair {
	return &pair{t: t, dialler: newEnd("dialler"), callee: newEnd("callee"), encode: encode}
}

// open connects the two over a first stream that lasts for so many frames.
func (p *pair) open(fuse int) {
	w := newWire(fuse)
	p.addWire(w)

	p.callee.link = link.Attached(p.callee.config(), p.frames(w.far))

	p.callee.serving = w

	go p.callee.link.Serve(w.far)
	go func() {
		// The stream of the end that does not dial lasts as long as its handler.
		<-p.callee.link.Parted()
		p.leave(p.wire())
	}()

	p.dialler.link = link.Dial(p.dialler.config(), func(context.Context) (link.Connection, error) {
		f := p.frames(w.near)
		f.Redial, f.Wait = p.redial, p.wait

		return link.Connection{Frames: &f}, nil
	})
	synctest.Wait()
}

// leave ends the handlers of the streams up to that one.
func (p *pair) leave(last *wire) {
	p.mu.Lock()
	defer p.mu.Unlock()

	for _, w := range p.wires {
		w.far.leave(io.EOF)

		if w == last {
			return
		}
	}
}

func (p *pair) addWire(w *wire) {
	p.mu.Lock()
	defer p.mu.Unlock()

	p.wires = append(p.wires, w)
}

// wire returns the newest stream.
func (p *pair) wire() *wire {
	p.mu.Lock()
	defer p.mu.Unlock()

	return p.wires[len(p.wires)-1]
}

func (p *pair) nextRedial() (result redial, fuse int) {
	p.mu.Lock()
	defer p.mu.Unlock()

	fuse = endless

	if len(p.redials) > 0 {
		result, p.redials = p.redials[0], p.redials[1:]
	}

	if len(p.fuses) > 0 {
		fuse, p.fuses = p.fuses[0], p.fuses[1:]
	}

	return result, fuse
}

// cut breaks the stream.
func (p *pair) cut() {
	p.wire().end()
}

// resume goes on with another stream, as the handler of that does.
func (e *end) resume(w *wire, epoch, received uint64) (theirs uint64, resumed bool) {
	resumed = e.link.Resume(w.far, epoch, received, func(received uint64) { theirs = received })
	if !resumed {
		return 0, false
	}

	e.mu.Lock()
	e.serving = w

	if e.timer != nil {
		e.timer.Stop()
		e.timer = nil
	}
	e.mu.Unlock()

	go e.link.Serve(w.far)

	return theirs, true
}

// send adds a message of that size from one sender to one receiver.
func (e *end) send(t require.TestingT, origin, key string, size int) *link.Parcel {
	return e.sendAs(t, "", origin, key, size)
}

// sendAs is send for a source, which need not be the one that the origin belongs to.
func (e *end) sendAs(t require.TestingT, source, origin, key string, size int) *link.Parcel {
	p, err := e.offerAs(source, origin, key, size, deadline)
	require.NoError(t, err)

	return p
}

func (e *end) offer(origin, key string, size int, wait time.Duration) (*link.Parcel, error) {
	return e.offerAs("", origin, key, size, wait)
}

func (e *end) offerAs(source, origin, key string, size int, wait time.Duration) (*link.Parcel, error) {
	e.mu.Lock()

	p := &link.Parcel{
		Header: link.Header{
			Source: source, Origin: []byte(origin), Sequence: uint64(len(e.added) + 1), Deadline: time.Now().Add(wait),
		},
		Packet: message{data: make([]byte, size)},
		Keys:   []string{key},
		Dests:  make([]mino.Address, 1),
	}

	for i := range p.Packet.GetMessage() {
		p.Packet.GetMessage()[i] = byte(int(p.Sequence) + i)
	}

	err := e.link.Add(p)
	if err == nil {
		e.added = append(e.added, p)
	}
	e.mu.Unlock()

	e.link.Flush()

	return p, err
}

// sequences returns what has arrived, by the numbers of the sends.
func (e *end) sequences() []uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()

	list := make([]uint64, len(e.arrived))
	for i, a := range e.arrived {
		list[i] = a.GetSequence()
	}

	return list
}

// pass lets time pass, and waits for what happens at its end.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// finish ends both links, and waits until there is nothing left of them.
func (p *pair) finish() {
	p.wire().thaw()
	p.dialler.link.Close()
	p.callee.link.Close()
	pass(time.Minute)
}

// wrong returns what is not as it must be when both links have ended.
func (p *pair) wrong() []string {
	all := slices.Concat(p.dialler.wrong(p.callee), p.callee.wrong(p.dialler))

	for i, w := range p.wires {
		if near, far := w.near.released.Load(), w.far.released.Load(); near != 1 || far != 1 {
			all = append(all, fmt.Sprintf("stream %d was released %d and %d times", i+1, near, far))
		}
	}

	return all
}
