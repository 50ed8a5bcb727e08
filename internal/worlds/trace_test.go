package worlds_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
)

// tracer notes what it is told. What goes on is a text of its own, unless it ignores the packet.
type tracer struct {
	carry string

	mu    sync.Mutex
	lines []string
}

func (r *tracer) notef(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()

	r.lines = append(r.lines, fmt.Sprintf(format, args...))
}

// told returns what the tracer has been told since the last time.
func (r *tracer) told() []string {
	r.mu.Lock()
	defer r.mu.Unlock()

	lines := r.lines
	r.lines = nil

	return lines
}

type sender struct{}

// Sent implements session.Tracer.
func (r *tracer) Sent(ctx context.Context, stream session.StreamInfo, info session.PacketInfo) session.Trace {
	r.notef("sent by %v in %v: %d bytes of %v to %d", ctx.Value(sender{}), stream.Stream, info.Bytes, info.Source,
		info.Destinations)

	return trace{r}
}

// Arrived implements session.Tracer.
func (r *tracer) Arrived(_ session.StreamInfo, from mino.Address, carried []byte, info session.PacketInfo,
) session.Trace {
	r.notef("%s has come from %v to %d", carried, from, info.Destinations)

	if r.carry == "" {
		return nil
	}

	return trace{r}
}

type trace struct{ *tracer }

// Carry implements session.Trace.
func (r trace) Carry() []byte { return []byte(r.carry) }

// Known implements session.Trace.
func (r trace) Known(o session.Outcome) {
	reason := "delivered"
	if o.Err != nil {
		reason = o.Err.Reason.String()
	}

	r.notef("%v: %v after %v", o.Destination, reason, o.Latency)
}

// End implements session.Trace.
func (r trace) End(err error) { r.notef("end: %v", err) }

// Promise P3: a node without a tracer passes on the context of a trace over links of each kind, and none
// that is too long.
func TestTrace_GoesOnWithTheMessage(t *testing.T) {
	longest := strings.Repeat("t", session.MaxTrace)

	for name, test := range map[string]struct{ carried, goesOn string }{
		"a context":   {"a context", "a context"},
		"none":        {"", ""},
		"the longest": {longest, longest},
		"too long":    {longest + "t", ""},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				_, parent, child := w.between()

				parcel := parent.parcel(1, addr("c"))
				parcel.Trace = []byte(test.carried)
				parent.feed(&ptypes.Packet{Parcels: []*ptypes.Parcel{parcel}})

				synctest.Wait()
				require.Len(t, child.received(), 1)
				require.Equal(t, test.goesOn, string(child.received()[0].GetTrace()))
			})

			inWorld(t, func(t *testing.T, w *world) {
				came := make(chan string, 1)

				w.peer("c", &sessiontest.Peer{OnForward: func(
					_ context.Context, p *ptypes.Packet,
				) (*ptypes.Ack, error) {
					came <- string(p.GetTrace())

					return &ptypes.Ack{}, nil
				}})

				sess, _ := w.root(addr("root"), w.table(1, addr("root"), addr("c")))
				packet := w.packet(addr("orchestrator"), addr("c"))
				packet.Trace = []byte(test.carried)

				_, err := sess.RecvPacket(addr("orchestrator"), packet)
				require.NoError(t, err)
				require.Equal(t, test.goesOn, <-came)
			})
		})
	}
}

// Promise P3: a tracer is told of a message of this node in its context, of each outcome, and of the end
// after the last one.
func TestTrace_ATracerFollowsWhatThisNodeSends(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		came := make(chan string, 2)
		w.peer("slow", &sessiontest.Peer{OnForward: func(_ context.Context, p *ptypes.Packet) (*ptypes.Ack, error) {
			came <- string(p.GetTrace())

			time.Sleep(3 * time.Second)

			return &ptypes.Ack{}, nil
		}})

		by := func(who string) context.Context { return context.WithValue(t.Context(), sender{}, who) }
		tracer := &tracer{carry: "mine"}
		sess, _ := w.root(addr("root"), w.table(1, addr("root"), addr("slow")),
			session.WithTracer(tracer), session.WithSendContext(by("the stream")))

		w.outcomes(sess.Send(fake.Message("hello"), addr("slow"), addr("stranger")))
		synctest.Wait()
		require.Equal(t, []string{
			"sent by the stream in 1: 5 bytes of " + addr("root").String() + " to 2",
			addr("stranger").String() + ": no route after 0s",
			addr("slow").String() + ": delivered after 3s",
			"end: <nil>",
		}, tracer.told())
		require.Equal(t, "mine", <-came)

		done, cancel := context.WithCancel(by("a handler"))
		cancel()

		out := mino.InContext(done, sess)
		require.Empty(t, w.outcomes(out.Send(fake.Message("hello"), addr("root"))), "the end has no effect")
		synctest.Wait()
		require.Equal(t, []string{
			"sent by a handler in 1: 5 bytes of " + addr("root").String() + " to 1",
			addr("root").String() + ": delivered after 0s",
			"end: <nil>",
		}, tracer.told())

		tracer.carry = strings.Repeat("t", session.MaxTrace+1)

		require.Empty(t, w.outcomes(sess.Send(fake.Message("hello"), addr("slow"))))
		require.Empty(t, <-came, "what is too long does not travel")
	})
}

// Promise P3: a tracer is told of a packet that passes with a context, and its own goes on. What it ignores
// goes on as it came. The end says why a packet was refused.
func TestTrace_ATracerFollowsWhatPasses(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		came := make(chan string, 2)
		w.peer("a", &sessiontest.Peer{OnForward: func(_ context.Context, p *ptypes.Packet) (*ptypes.Ack, error) {
			came <- string(p.GetTrace())

			return &ptypes.Ack{Errors: []string{"full"}}, nil
		}})

		tracer := &tracer{carry: "mine"}
		sess, _ := w.root(addr("root"), w.table(1, addr("root"), addr("a")), session.WithTracer(tracer),
			session.WithNeighborsOnly())
		orchestrator := session.NewOrchestratorAddress(addr("orchestrator"))

		send := func(from mino.Address, carried string) error {
			packet := w.packet(orchestrator, addr("root"), addr("a"))
			packet.Trace = []byte(carried)

			_, err := sess.RecvPacket(from, packet)
			synctest.Wait()

			return err
		}

		require.NoError(t, send(addr("orchestrator"), "theirs"))
		require.Equal(t, "mine", <-came)
		require.Equal(t, []string{
			"theirs has come from " + addr("orchestrator").String() + " to 2",
			addr("root").String() + ": delivered after 0s",
			addr("a").String() + ": timeout after 0s",
			"end: <nil>",
		}, tracer.told())

		require.NoError(t, send(addr("orchestrator"), ""))
		require.Empty(t, <-came)
		require.Empty(t, tracer.told(), "what has no context is not traced")

		require.ErrorIs(t, send(addr("stranger"), "theirs"), session.ErrStranger)
		require.Empty(t, tracer.told(), "a stranger begins no trace")

		packet := w.packet(orchestrator, addr("y"))
		packet.Trace = []byte("theirs")
		_, err := w.session(addr("y"), session.WithTracer(tracer)).RecvPacket(addr("orchestrator"), packet)
		synctest.Wait()
		require.ErrorContains(t, err, "packet is dropped", "there is no parent yet")
		require.Equal(t, []string{
			"theirs has come from " + addr("orchestrator").String() + " to 1",
			"end: packet is dropped (tried 0 parent-s)",
		}, tracer.told())

		tracer.carry = ""

		require.NoError(t, send(addr("orchestrator"), "theirs"))
		require.Equal(t, "theirs", <-came)
		require.Len(t, tracer.told(), 1)
	})
}

// Promise P3: each trace ends once, also when the session does before the outcomes are known.
func TestTrace_EndsWithTheSession(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.peer("a", &sessiontest.Peer{OnForward: func(ctx context.Context, _ *ptypes.Packet) (*ptypes.Ack, error) {
			<-ctx.Done()

			return nil, ctx.Err()
		}})

		tracer := &tracer{carry: "mine"}
		sess, _ := w.root(addr("root"), w.table(1, addr("root"), addr("a")), session.WithTracer(tracer))
		errs := sess.Send(fake.Message("hello"), addr("a"))

		synctest.Wait()
		sess.(session.Lifecycle).CloseWithError(io.ErrUnexpectedEOF)
		w.outcomes(errs)
		synctest.Wait()

		told := tracer.told()
		require.Len(t, told, 3)
		require.Equal(t, "end: <nil>", told[2])
	})
}
