package link_test

import (
	"context"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	deadlines "github.com/minogrpc/session/internal/deadline"
	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/ptypes"
	"github.com/stretchr/testify/require"
)

// Promise M2: messages of one sender to one receiver arrive in the order of the sends,
// whatever their sizes are.
func TestDuplex_FlowKeepsTheOrderOfSmallAndLarge(t *testing.T) {
	inPair(t, func(t *testing.T, p *pair) {
		p.wire().near.out.freeze()

		for range 3 {
			for range 40 {
				p.dialler.send(t, "o", "x", maxFrame/3)
			}

			p.dialler.send(t, "o", "x", maxFrame)
			p.dialler.send(t, "o", "x", 1)
		}

		p.wire().near.out.thaw()
		synctest.Wait()
		require.Len(t, p.callee.sequences(), 126)
		require.IsIncreasing(t, p.callee.sequences())
	})
}

// Promise S2: who has learned the origin of another sender cannot hold up what that sends
// with a large message of its own.
func TestDuplex_LargeMessageWithTheOriginOfAnotherLetsItPass(t *testing.T) {
	inPair(t, func(t *testing.T, p *pair) {
		p.wire().near.out.freeze()

		p.dialler.sendAs(t, "liar", "o", "x", 100*maxFrame)
		synctest.Wait()
		p.dialler.sendAs(t, "liar", "o", "x", 1)
		p.dialler.sendAs(t, "victim", "o", "x", 1)
		p.wire().near.out.thaw()
		synctest.Wait()
		require.Equal(t, []uint64{3, 1, 2}, p.callee.sequences())
	})
}

// Promise M2: what is small passes by the large message of another sender, and does
// not wait for more than the frames that have left.
func TestDuplex_LargeMessageLetsOthersPass(t *testing.T) {
	inPair(t, func(t *testing.T, p *pair) {
		const size = 64 << 20

		p.wire().near.out.freeze()
		p.dialler.send(t, "o", "x", size)
		synctest.Wait()

		small := p.dialler.send(t, "p", "x", 10)
		before := p.wire().sent()

		var after int64

		p.callee.watch = func(a link.Arrival) {
			if a.GetSequence() == small.Sequence {
				after = p.wire().sent()
			}
		}

		p.wire().near.out.thaw()
		synctest.Wait()
		require.Equal(t, []uint64{2, 1}, p.callee.sequences())
		// The one that is blocked, its own, and those that have left while it was read.
		require.LessOrEqual(t, after-before, int64(2*window+4))
	})
}

// Promise L1: a large message in either direction holds up no sign of life.
func TestDuplex_LargeMessageIsNoSilence(t *testing.T) {
	inPair(t, func(t *testing.T, p *pair) {
		p.wire().delay(10 * time.Millisecond)
		p.dialler.send(t, "o", "x", 16<<20)
		p.callee.send(t, "o", "x", 10)
		pass(4 * silence)
		require.Zero(t, p.callee.broken)
		require.Zero(t, p.dialler.lost)
		require.Len(t, p.dialler.arrived, 1)
		pass(4 * silence)
	})
}

// Promises L1, P3: two idle ends give each other a sign of life in each third of the time. Only every
// third one asks how long the way takes, and is answered.
func TestDuplex_FewHeartbeatsAreAnswered(t *testing.T) {
	inPair(t, func(t *testing.T, p *pair) {
		p.dialler.send(t, "o", "x", 10)
		pass(silence + time.Second)

		before := p.wire().sent()

		pass(10 * silence)
		// An answer may come along with a heartbeat.
		sent := p.wire().sent() - before
		require.GreaterOrEqual(t, sent, int64(2*3*10))
		require.LessOrEqual(t, sent, int64(2*3*10+2*10))
	})
}

// Promises L1, L5: silence in either direction is noticed within the bound. Whoever notices it ends
// the stream, and the link goes on over another one.
func TestDuplex_SilenceIsNoticed(t *testing.T) {
	for name, freeze := range map[string]func(w *wire){
		"towards the callee": func(w *wire) { w.far.in.freeze() },
		"from the callee":    func(w *wire) { w.near.in.freeze() },
		"both": func(w *wire) {
			w.far.in.freeze()
			w.near.in.freeze()
		},
	} {
		t.Run(name, func(t *testing.T) {
			inPair(t, func(t *testing.T, p *pair) {
				freeze(p.wire())
				p.dialler.send(t, "o", "x", 10)
				p.callee.send(t, "o", "x", 10)
				pass(silence + silence/3)
				require.Len(t, p.wires, 2)
				require.Empty(t, p.undelivered())
				require.Zero(t, p.dialler.lost+p.callee.lost)
			})
		})
	}
}

// Promise L5: the end that dials tries for the whole of its patience, which ends before the other
// end waits no more. The loss then has both causes: why the stream ended, and why there is no other.
func TestDuplex_PatienceIsATime(t *testing.T) {
	const wait = 10 * time.Second

	for name, tc := range map[string]struct {
		result      redial
		wait, after time.Duration
		attempts    int
		says        error
	}{
		// 0, 50, 150, 350, 750 and 1250 ms, and then each time after half of what is left.
		"its own": {result: fails, after: patience, attempts: 10, says: errRedial},
		"that of the other": {
			result: fails, wait: patience - link.Margin, after: patience - 2*link.Margin, attempts: 8, says: errRedial,
		},
		"hangs":               {result: hangs, after: patience, attempts: 2, says: context.DeadlineExceeded},
		"longer than its own": {result: fails, wait: wait, after: patience, attempts: 10, says: errRedial},
		"of no use":           {result: refused, attempts: 1, says: link.ErrGone},
		"the next one may do": {result: succeeds, attempts: 1},
		"nobody learns of it": {result: unanswered, after: patience, attempts: 10, says: errRedial},
		"almost no time": {
			result: fails, wait: 150 * time.Millisecond, after: 75 * time.Millisecond, attempts: 2, says: errRedial,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t)
				p.wait = tc.wait
				p.open(endless)

				for range tc.attempts {
					p.plan(tc.result)
				}

				defer p.finish()

				start := time.Now()

				p.cut()

				if tc.says == nil {
					pass(time.Minute)
					require.Zero(t, p.dialler.lost)

					return
				}

				select {
				case <-p.dialler.link.Parted():
				case <-time.After(time.Minute):
				}

				require.Equal(t, tc.after, time.Since(start))
				require.ErrorIs(t, p.dialler.cause, errCut)
				require.ErrorIs(t, p.dialler.cause, tc.says)
				require.Empty(t, p.redials)
			})
		})
	}
}

// Promise L5: neither the patience nor an attempt is over because the process lacks the processor: a
// stream that another one would have opened in time is waited for.
func TestDuplex_PatienceCountsTheTimeWithTheProcessor(t *testing.T) {
	inPair(t, func(t *testing.T, p *pair) {
		restore := deadlines.Starve(func() { time.Sleep(200 * time.Millisecond) })
		defer restore()

		p.plan(slow)
		p.cut()
		pass(slowness)
		require.Zero(t, p.dialler.lost)
		require.Len(t, p.wires, 2)
		require.Empty(t, p.redials)
	})

	inPair(t, func(t *testing.T, p *pair) {
		p.plan(slow)
		p.plan(slow)
		p.cut()
		pass(slowness)
		require.Equal(t, 1, p.dialler.lost, "with the processor it is too slow")
	})
}

// Promises L1, L2: while the process lacks the processor, a neighbour has more time for its signs of life
// and for its receipts than the bounds say. Without that the link would have broken, and the outcome would
// be lost.
func TestDuplex_BoundsCountTheTimeWithTheProcessor(t *testing.T) {
	for name, tc := range map[string]struct {
		slow       time.Duration
		wires, bad int
	}{
		"enough of it": {0, 2, 1},
		"little of it": {200 * time.Millisecond, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			inPair(t, func(t *testing.T, p *pair) {
				if tc.slow > 0 {
					restore := deadlines.Starve(func() { time.Sleep(tc.slow) })
					defer restore()
				}

				_, err := p.dialler.offer("o", "x", 10, 2*time.Second)
				require.NoError(t, err)
				synctest.Wait()
				p.wire().far.in.freeze()
				p.wire().near.in.freeze()

				_, err = p.dialler.offer("o", "x", 10, 2*time.Second)
				require.NoError(t, err)
				pass(2 * silence)
				p.wire().thaw()
				pass(time.Minute)

				require.Len(t, p.wires, tc.wires)
				require.Len(t, p.dialler.failed, tc.bad)
			})
		})
	}
}

// Promise L5: a refusal that comes first says more than the end of the patience.
func TestDuplex_RealErrorIsTheCause(t *testing.T) {
	inPair(t, func(t *testing.T, p *pair) {
		p.redials = []redial{fails, hangs, hangs}
		p.cut()
		pass(patience)
		require.ErrorIs(t, p.dialler.cause, errRedial)
	})
}

// Promise L1: a neighbour that accepts each stream, and gives no sign of life over any of them, is
// lost in the end.
func TestDuplex_MuteStreamsAreALoss(t *testing.T) {
	for name, flow := range map[string]func(w *wire) *flow{
		"hears nothing": func(w *wire) *flow { return w.near.in },
		"is not heard":  func(w *wire) *flow { return w.far.in },
	} {
		t.Run(name, func(t *testing.T) {
			inPair(t, func(t *testing.T, p *pair) {
				flow(p.wire()).freeze()
				p.mu.Lock()
				p.onWire = func(w *wire) { flow(w).freeze() }
				p.mu.Unlock()
				pass(5 * silence)
				require.Equal(t, 1, p.dialler.lost)
				require.LessOrEqual(t, len(p.wires), 4)
			})
		})
	}
}

// Promise L5: a break costs nothing: what was on its way in either direction arrives
// over the next stream, whenever the last one has ended.
func TestDuplex_BreakCostsNothing(t *testing.T) {
	for fuse := range 30 {
		inPair(t, func(t *testing.T, p *pair) {
			p.burn(fuse)

			for range 20 {
				p.dialler.send(t, "o", "x", maxFrame)
				p.callee.send(t, "o", "x", 10)
			}

			pass(time.Second)
			require.Empty(t, p.undelivered())
			require.Zero(t, p.dialler.lost+p.callee.lost)
		})
	}
}

// Promise L5: the owner has been told of a break before the link goes on, so that it
// does not wait for what has been already.
func TestDuplex_BreakIsToldBeforeItIsOver(t *testing.T) {
	inPair(t, func(t *testing.T, p *pair) {
		breaking := make(chan struct{})
		p.onRedial = func() { <-breaking }
		p.callee.onBreak = func() {
			close(breaking)

			// The other end is trying to go on.
			for range 1000 {
				runtime.Gosched()
			}
		}

		p.cut()
		pass(2 * grace)
		require.Equal(t, 1, p.callee.broken)
		require.Zero(t, p.callee.lost, "the grace of a break that is over has ended the link")
	})
}

// Promise L3: a link whose streams end again and again, because the neighbour cannot
// take what comes, is given up.
func TestDuplex_StreamsInVainEnd(t *testing.T) {
	inPair(t, func(t *testing.T, p *pair) {
		p.fuses = make([]int, 100)
		p.burn(0)
		p.dialler.send(t, "o", "x", 10)
		pass(time.Second)
		require.Equal(t, 1, p.dialler.lost)
		require.Less(t, len(p.wires), 20)
	})
}

// requireClosedAtOnce closes both ends, which need no time for that.
func requireClosedAtOnce(t *testing.T, p *pair) {
	start := time.Now()

	p.dialler.link.Close()
	p.callee.link.Close()
	<-p.dialler.link.Parted()
	<-p.callee.link.Parted()
	synctest.Wait()
	require.Zero(t, time.Since(start))
}

// Promise L6: a link that closes while it is broken does not wait for a stream.
func TestDuplex_ClosesAtOnceWhileBroken(t *testing.T) {
	inPair(t, func(t *testing.T, p *pair) {
		p.redials = []redial{hangs}
		p.cut()
		synctest.Wait()
		p.dialler.send(t, "o", "x", 10)
		p.callee.send(t, "o", "x", 10)

		requireClosedAtOnce(t, p)
	})
}

// Promise L6: what both ends have added before they say goodbye at the same moment has
// one outcome.
func TestDuplex_BothSayGoodbye(t *testing.T) {
	inPair(t, func(t *testing.T, p *pair) {
		for range 10 {
			p.dialler.send(t, "o", "x", maxFrame)
			p.callee.send(t, "o", "x", maxFrame)
		}

		requireClosedAtOnce(t, p)
	})
}

// Promise L6: a goodbye waits for the answers that the neighbour owes, but not for
// longer than it must.
func TestDuplex_GoodbyeWaitsForAnswers(t *testing.T) {
	inPair(t, func(t *testing.T, p *pair) {
		p.callee.answer = func(e *end, a link.Arrival) {
			if a.GetSequence() == 1 {
				time.AfterFunc(link.Goodbye/2, func() { answerAtOnce(e, a) })
			}
		}
		p.dialler.send(t, "o", "x", 10)
		p.dialler.send(t, "o", "x", 10)
		p.dialler.link.Close()
		<-p.dialler.link.Parted()
		synctest.Wait()
		require.True(t, p.dialler.reached[1])
		require.ErrorIs(t, p.dialler.failed[2], link.ErrClosed)
	})
}

// offerWeak adds a message that nothing here refers to.
func (e *end) offerWeak(t *testing.T, wait time.Duration) weak.Pointer[link.Parcel] {
	t.Helper()

	p, err := e.offer("o", "x", 10, wait)
	require.NoError(t, err)

	e.added = slices.Delete(e.added, len(e.added)-1, len(e.added))

	return weak.Make(p)
}

// Promise M3: what has expired behind a stream that takes nothing is not kept.
func TestDuplex_ExpiredIsNotKept(t *testing.T) {
	inPair(t, func(t *testing.T, p *pair) {
		p.wire().near.out.freeze()

		for range 4 * window {
			p.dialler.send(t, "o", "x", maxFrame/2)
		}

		kept := p.dialler.offerWeak(t, time.Second)
		pass(2 * time.Second)
		runtime.GC()
		require.Nil(t, kept.Value())
		p.wire().near.out.thaw()
	})
}

// Promise S3: a message that is given up on its way is forgotten at the other end.
func TestDuplex_AbandonedMessageIsForgotten(t *testing.T) {
	inPair(t, func(t *testing.T, p *pair) {
		p.wire().delay(time.Millisecond)

		_, err := p.dialler.offer("o", "x", 32<<20, time.Second)
		require.NoError(t, err)
		pass(time.Second / 2)
		require.NotZero(t, p.callee.budget.Used())
		pass(time.Second)
		require.Zero(t, p.callee.budget.Used())
		require.ErrorIs(t, p.dialler.failed[1], link.ErrExpired)
		require.Empty(t, p.callee.arrived)
	})
}

// Promise M3: who does not answer is sent no more than so many parcels, even when
// nobody waits for the first of them any more.
func TestDuplex_UnansweredParcelsAreBounded(t *testing.T) {
	inPair(t, func(t *testing.T, p *pair) {
		p.callee.answer = func(*end, link.Arrival) {}

		for range link.MaxUnsettled + 10 {
			_, err := p.dialler.offer("o", "x", 0, 10*time.Second)
			require.NoError(t, err)
		}

		pass(11 * time.Second)
		require.Len(t, p.callee.arrived, link.MaxUnsettled)

		_, err := p.dialler.offer("o", "x", 0, 10*time.Second)
		require.NoError(t, err)
		synctest.Wait()
		require.Len(t, p.callee.arrived, link.MaxUnsettled)

		answerAtOnce(p.callee, p.callee.arrived[0])
		synctest.Wait()
		require.Len(t, p.callee.arrived, link.MaxUnsettled+1)
		pass(11 * time.Second)
	})
}

// Promise M3: a link that is drained while it prepares a large message goes on.
func TestDuplex_DrainedWhileItPrepares(t *testing.T) {
	inPair(t, func(t *testing.T, p *pair) {
		started, goOn := make(chan struct{}), make(chan struct{})
		p.encode = func(parcel *link.Parcel, wire *ptypes.Parcel) error {
			if parcel.Sequence == 1 {
				close(started)
				<-goOn
			}

			return encode(parcel, wire)
		}

		added := make(chan error, 1)

		go func() {
			_, err := p.dialler.offer("o", "x", 2*maxFrame, deadline)
			added <- err
		}()

		<-started

		for _, parcel := range p.dialler.link.Drain() {
			p.dialler.Failed(p.dialler.link, parcel, link.ErrClosed)
		}

		close(goOn)
		require.NoError(t, <-added)
		p.dialler.send(t, "o", "x", 2*maxFrame)
		p.dialler.send(t, "o", "x", 10)
		pass(time.Second)
		require.Equal(t, []uint64{2, 3}, p.callee.sequences())
	})
}

// Promise M1: who keeps what has come does not keep the frame that it came in.
func TestDuplex_ArrivalDoesNotPinItsFrame(t *testing.T) {
	inPair(t, func(t *testing.T, p *pair) {
		p.wire().near.out.freeze()

		for range 8 * window {
			p.dialler.send(t, "o", "x", 10)
		}

		p.wire().near.out.thaw()
		synctest.Wait()
		require.Len(t, p.callee.arrived, 8*window)
		runtime.GC()
		require.Zero(t, p.wire().near.out.alive(), "frames that have been read are still there")
	})
}
