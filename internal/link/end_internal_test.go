package link

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/memory"
	"github.com/minogrpc/session/ptypes"
	"github.com/stretchr/testify/require"
)

// latecomer is an owner that adds to its link while that ends, and notes what it is told.
type latecomer struct {
	Owner

	// inLost and inFailed are called when the owner is told so, after it has drained.
	inLost, inFailed func(l *Link)

	mu       sync.Mutex
	settled  int
	released bool
}

func (o *latecomer) Opened(*Link) {}

func (o *latecomer) Failed(l *Link, _ *Parcel, _ error) {
	o.mu.Lock()
	o.settled++
	o.mu.Unlock()

	if o.inFailed != nil {
		o.inFailed(l)
	}
}

func (o *latecomer) Lost(l *Link, _ error) {
	drained := l.Drain()

	o.mu.Lock()
	o.settled += len(drained)
	o.mu.Unlock()

	if o.inLost != nil {
		o.inLost(l)
	}
}

func (o *latecomer) Released(*Link) {
	o.mu.Lock()
	defer o.mu.Unlock()

	o.released = true
}

func lateParcel() *Parcel {
	p := newParcel(10, "x")
	p.Deadline = time.Now().Add(time.Minute)

	return p
}

// still is a stream of a neighbour that says nothing until the stream is released.
type still struct{ released chan struct{} }

func (s still) Send(*ptypes.Packet) error { return nil }
func (s still) Shut() bool                { return false }
func (s still) Release()                  { close(s.released) }

func (s still) Recv() (*ptypes.Packet, error) {
	<-s.released

	return nil, errors.New("released")
}

// Promise O1: what is added to a link between the drain and its release is refused, so that
// its sender can settle it, and nothing of it is counted.
func TestLink_RefusesWhatComesAfterTheDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		budget := memory.NewBudget(1000)
		o := &latecomer{inLost: func(l *Link) { require.ErrorIs(t, l.Add(lateParcel()), ErrClosed) }}
		l := Park(Config{Owner: o, MaxPackets: 10, MaxBytes: 1000, Budget: budget})

		require.NoError(t, l.Add(lateParcel()))
		l.Fail(errors.New("over"))
		require.ErrorIs(t, l.Add(lateParcel()), ErrClosed)
		synctest.Wait()

		require.Equal(t, 1, o.settled)
		require.True(t, o.released)
		require.Zero(t, budget.Used())
	})
}

// Promise O1: so is what is added to a link that closes.
func TestLink_RefusesWhatComesWhileItCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		budget := memory.NewBudget(1000)
		o := &latecomer{}
		o.inFailed = func(l *Link) { require.ErrorIs(t, l.Add(lateParcel()), ErrClosed) }
		l := Park(Config{Owner: o, MaxPackets: 10, MaxBytes: 1000, Budget: budget})

		require.NoError(t, l.Add(lateParcel()))
		l.Close()
		require.ErrorIs(t, l.Add(lateParcel()), ErrClosed)
		<-l.Parted()
		require.ErrorIs(t, l.Add(lateParcel()), ErrClosed)
		synctest.Wait()

		require.Equal(t, 1, o.settled)
		require.Zero(t, budget.Used())
	})
}

// Promise L3: what is added to a lost link before its owner drains it is routed again with
// the rest. A link that is drained and goes on takes more.
func TestLink_TakesWhatTheDrainWillFind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := Park(Config{Owner: &latecomer{}, MaxPackets: 10, MaxBytes: 1000})
		require.NoError(t, l.Add(lateParcel()))
		require.Len(t, l.Drain(), 1)
		require.NoError(t, l.Add(lateParcel()))

		l.mu.Lock()
		l.state = lost
		l.mu.Unlock()

		require.NoError(t, l.Add(lateParcel()))
		require.Len(t, l.Drain(), 2)
		require.ErrorIs(t, l.Add(lateParcel()), ErrClosed)
		l.release(ErrClosed)
	})
}

// Promise L6: a dial that succeeds while the link ends leaves nothing, and nothing about it
// is looked at without the lock.
func TestLink_DialSucceedsWhileItEnds(*testing.T) {
	for _, end := range []func(*Link){(*Link).Close, (*Link).Leave, func(l *Link) { l.Fail(errors.New("over")) }} {
		for _, frames := range []bool{true, false} {
			o := &latecomer{}
			s := still{released: make(chan struct{})}
			l := Dial(Config{Owner: o, Setup: time.Minute, Silence: time.Minute, MaxPackets: 1, MaxBytes: 1},
				func(ctx context.Context) (Connection, error) {
					<-ctx.Done()

					if frames {
						return Connection{Frames: &Frames{Stream: s, MaxFrame: 1000}}, nil
					}

					return Connection{Calls: stillConn{still: s}}, nil
				})

			go l.Flush()

			end(l)
			<-l.Parted()
			l.wg.Wait()
			<-s.released
		}
	}
}

// stillConn is a connection of such a neighbour. Its stream ends at once.
type stillConn struct{ still }

func (c stillConn) Carry(context.Context, *Parcel) (*ptypes.Ack, error) { return &ptypes.Ack{}, nil }
func (c stillConn) Recv() (*ptypes.Packet, error)                       { return nil, errors.New("over") }
func (c stillConn) Goodbye() bool                                       { return false }

// frantic is an owner, and its connection, that panics wherever it can.
type frantic struct {
	Owner

	mu     sync.Mutex
	called map[string]int
	lost   error
	failed error
}

func (f *frantic) panics(what string) {
	f.mu.Lock()
	f.called[what]++
	f.mu.Unlock()

	panic("by the test: " + what)
}

func (f *frantic) Opened(*Link)                    {}
func (f *frantic) Sent(*Link, *Parcel)             { f.panics("sent") }
func (f *frantic) Answered(*Link, *Parcel, Answer) { f.panics("answered") }
func (f *frantic) Received(*Link, *ptypes.Packet)  { f.panics("received") }
func (f *frantic) Arrived(*Link, []Arrival)        { f.panics("arrived") }
func (f *frantic) Goodbye(*Link)                   { f.panics("goodbye") }
func (f *frantic) Broken(*Link, error)             { f.panics("broken") }
func (f *frantic) Redials(*Link, error)            { f.panics("redials") }
func (f *frantic) Resumed(*Link)                   { f.panics("resumed") }
func (f *frantic) Released(*Link)                  { f.panics("released") }

func (f *frantic) Failed(_ *Link, _ *Parcel, err error) {
	f.mu.Lock()
	f.failed = err
	f.mu.Unlock()

	f.panics("failed")
}

func (f *frantic) Lost(_ *Link, cause error) {
	f.mu.Lock()
	f.lost = cause
	f.mu.Unlock()

	f.panics("lost")
}

// franticConn panics, too, except when it carries and once when it is read.
type franticConn struct {
	*frantic

	feed chan *ptypes.Packet
}

func (c franticConn) Carry(context.Context, *Parcel) (*ptypes.Ack, error) { return &ptypes.Ack{}, nil }
func (c franticConn) Goodbye() bool                                       { panic("by the test") }
func (c franticConn) Release()                                            { c.panics("release") }

func (c franticConn) Recv() (*ptypes.Packet, error) {
	p, more := <-c.feed
	if !more {
		panic("by the test")
	}

	return p, nil
}

// Promise S1: no panic of the owner, or of what is not ours, ends the process from a
// goroutine of the link: it is the loss of the neighbour, and what it was about is unknown.
func TestLink_ContainsThePanicsOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &frantic{called: make(map[string]int)}
		conn := franticConn{frantic: f, feed: make(chan *ptypes.Packet)}
		cfg := Config{Owner: f, MaxPackets: 10, MaxBytes: 1000, Calls: 1, Sticky: true, Setup: time.Minute}

		l := Attach(cfg, conn)
		require.NoError(t, l.Add(lateParcel()))
		synctest.Wait()
		require.ErrorIs(t, f.lost, contain.ErrPanic)
		require.Equal(t, map[string]int{"sent": 1, "lost": 1, "failed": 1, "release": 1, "released": 1}, f.called)

		clear(f.called)

		l = Dial(cfg, func(context.Context) (Connection, error) { return Connection{Calls: conn}, nil })
		conn.feed <- &ptypes.Packet{}
		close(conn.feed)
		<-l.Parted()
		synctest.Wait()
		require.Equal(t, map[string]int{"received": 1, "lost": 1, "release": 1, "released": 1}, f.called)
	})
}

// quiet only panics when it is told an answer.
type quiet struct{ *frantic }

func (quiet) Sent(*Link, *Parcel) {}

// Promises O1, S1: what the neighbour says about a parcel, and nobody can take, is settled
// as unknown.
func TestLink_AnswerThatNobodyCanTakeIsSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &frantic{called: make(map[string]int)}
		l := Attach(Config{Owner: quiet{f}, MaxPackets: 10, MaxBytes: 1000, Calls: 1},
			franticConn{frantic: f, feed: make(chan *ptypes.Packet)})

		require.NoError(t, l.Add(lateParcel()))
		<-l.Parted()
		synctest.Wait()
		require.Equal(t, 1, f.called["failed"])
		require.ErrorIs(t, f.failed, ErrExpired)
		require.ErrorIs(t, f.failed, contain.ErrPanic)
	})
}
