package link_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/ptypes"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
)

// played is a stream whose other end the test plays.
type played struct {
	in    chan *ptypes.Packet
	ended chan struct{}

	mu   sync.Mutex
	sent []*ptypes.Packet
	// limit is the largest frame that the stream takes.
	limit int
	// shut is set when nothing may be sent any more, and late counts what was.
	shut bool
	late int
}

// playNeighbour returns a link that was dialled, over a stream with a limit. The link is closed
// when the test is over.
func playNeighbour(t *testing.T, limit int) (*end, *played) {
	t.Helper()

	e := newEnd("played")
	s := &played{in: make(chan *ptypes.Packet, 100), ended: make(chan struct{}), limit: limit}
	e.link = link.Attached(e.config(), newPair(t).frames(s))

	go e.link.Serve(s)

	t.Cleanup(func() {
		e.link.Close()
		<-e.link.Parted()
		close(s.ended)
		synctest.Wait()
	})

	return e, s
}

func (s *played) Send(p *ptypes.Packet) error {
	s.mu.Lock()
	defer s.mu.Unlock()

	switch {
	case proto.Size(p) > s.limit:
		return errors.New("too large for the stream")
	case s.shut:
		s.late++
	}

	s.sent = append(s.sent, p)

	return nil
}

func (s *played) Recv() (*ptypes.Packet, error) {
	select {
	case p := <-s.in:
		return p, nil
	case <-s.ended:
		return nil, errCut
	}
}

func (s *played) Shut() bool {
	s.mu.Lock()
	defer s.mu.Unlock()

	s.shut = true

	return true
}

func (s *played) Release() {}

// sizes returns how large the frames were.
func (s *played) sizes() (sizes []int, all int) {
	s.mu.Lock()
	defer s.mu.Unlock()

	for _, frame := range s.sent {
		sizes = append(sizes, proto.Size(frame))
		all += proto.Size(frame)
	}

	return sizes, all
}

// Promise L6: after the goodbye nothing is written, whatever still comes and however long
// the neighbour takes to end the stream: it would cost the goodbye.
func TestPlayed_NothingAfterTheGoodbye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, s := playNeighbour(t, endless)
		e.link.Close()
		synctest.Wait()

		s.in <- &ptypes.Packet{Frame: 1, Parcels: []*ptypes.Parcel{{Id: 1, Body: []byte("late")}}}

		time.Sleep(3 * silence)

		require.True(t, s.shut)
		require.Zero(t, s.late)
	})
}

// Promise S3: a frame is no larger than the two ends have agreed on, whatever is in it.
func TestPlayed_FramesKeepToTheirSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 500

		e, s := playNeighbour(t, endless)
		e.answer = func(e *end, a link.Arrival) {
			if a.GetId() < n {
				return
			}

			// All that there can be, at once.
			for id := range uint64(n) {
				failure := &ptypes.Failure{Destination: []byte("d"), Cause: strings.Repeat("x", 100)}
				e.link.Reply(&ptypes.Receipt{ParcelId: id/2 + 1, Failures: []*ptypes.Failure{failure}, Last: id%2 == 1})
				e.link.Delivered(id + 1)
				_, _ = e.offer("o", "x", 1000, deadline) // there is room
			}

			_, _ = e.offer("p", "y", 10*maxFrame, deadline)
		}

		frame := &ptypes.Packet{Frame: 1}
		for id := range uint64(n) {
			frame.Parcels = append(frame.Parcels, &ptypes.Parcel{Id: id + 1})
		}

		s.in <- frame

		synctest.Wait()

		sizes, all := s.sizes()
		require.Greater(t, all, n*1000+10*maxFrame)

		for _, size := range sizes {
			require.LessOrEqual(t, size, maxFrame)
		}
	})
}

// Promise L3: a link whose stream takes no frames, though it does not end, is broken and
// does not hang without a word.
func TestPlayed_StreamThatTakesNothingIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, s := playNeighbour(t, 100)
		e.send(t, "o", "x", 1000)

		for range 10 {
			time.Sleep(time.Second)
			s.in <- &ptypes.Packet{} // the neighbour is alive
		}

		synctest.Wait()
		require.Equal(t, 1, e.broken)
	})
}

// Promise S3: what comes in pieces is as long as its first piece says, so that the memory
// for it is not moved with each of them.
func TestPlayed_PiecesHaveToAddUp(t *testing.T) {
	first := &ptypes.Chunk{Id: 1, Total: 10, Data: make([]byte, 9)}

	for name, frame := range map[string]*ptypes.Packet{
		"more than there is":    {Chunks: []*ptypes.Chunk{{Id: 1, Offset: 9, Total: 10, Data: make([]byte, 2)}}},
		"another length":        {Chunks: []*ptypes.Chunk{{Id: 1, Offset: 9, Total: 20, Data: make([]byte, 2)}}},
		"more at the end":       {Parcels: []*ptypes.Parcel{{Id: 1, Chunked: 1, Body: make([]byte, 2)}}},
		"less than it promised": {Parcels: []*ptypes.Parcel{{Id: 1, Chunked: 1}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, s := playNeighbour(t, endless)
				s.in <- &ptypes.Packet{Frame: 1, Chunks: []*ptypes.Chunk{proto.CloneOf(first)}}

				frame.Frame = 2
				s.in <- frame

				synctest.Wait()
				require.Equal(t, 1, e.lost)
				require.Empty(t, e.arrived)
			})
		})
	}
}

// Promises M3, S3: a neighbour that answers, and does not say what it has received, makes
// a link keep a bounded number of frames.
func TestPlayed_UnreadFramesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size, bound = 100 << 10, 17 << 20

		e, s := playNeighbour(t, endless)

		for i := range uint64(2 * bound / size) {
			e.send(t, "o", "x", size)
			synctest.Wait()

			s.in <- &ptypes.Packet{Frame: i + 1, Delivered: []uint64{i + 1}}

			synctest.Wait()
		}

		_, all := s.sizes()
		require.Less(t, all, bound)
	})
}

// Promise S1: a panic while a packet is encoded is about that packet.
func TestDuplex_PanicOfAnEncodingIsAboutThePacket(t *testing.T) {
	inPair(t, func(t *testing.T, p *pair) {
		p.encode = func(*link.Parcel, *ptypes.Parcel) error { panic("engine") }
		sent := p.dialler.send(t, "o", "x", 10)

		synctest.Wait()
		require.ErrorIs(t, p.dialler.failed[sent.Sequence], link.ErrPacket)
		require.False(t, link.IsLoss(p.dialler.failed[sent.Sequence]))

		p.encode = encode
	})
}

// Promise S1: a panic of who opens the streams is the loss of the neighbour.
func TestPlayed_PanicOfARedialIsALoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnd("dialler")
		s := &played{in: make(chan *ptypes.Packet), ended: make(chan struct{}), limit: endless}
		frames := newPair(t).frames(s)
		frames.Redial = func(context.Context, link.Next) (link.Stream, uint64, error) { panic("dialler") }
		e.link = link.Attached(e.config(), frames)

		go e.link.Serve(s)

		close(s.ended)
		synctest.Wait()
		require.Equal(t, 1, e.lost)
		require.ErrorIs(t, e.cause, errCut)
	})
}

// Promise L5: a link with nothing to get across goes on however often its streams end, as
// long as they last a moment; one whose streams end at once does not go on for ever.
func TestDuplex_BreaksOfAnIdleLink(t *testing.T) {
	for name, tc := range map[string]struct {
		every time.Duration
		lost  int
	}{
		"now and then": {time.Second, 0},
		"at once":      {0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			inPair(t, func(t *testing.T, p *pair) {
				for range 50 {
					pass(tc.every)
					p.cut()
					synctest.Wait()
				}

				pass(patience)
				require.Equal(t, tc.lost, p.dialler.lost)
			})
		})
	}
}
