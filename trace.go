package session

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/internal/pending"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
)

// MaxTrace bounds the context of a message in a trace, in bytes. A longer one does not travel: from
// there on the message is not traced.
const MaxTrace = 512

// Tracer follows messages from node to node, for a tracing system. What its [Trace] writes at one node
// travels with the message, and the tracer of the next node reads it. A node without a tracer passes it
// on. An existing node does not, so that the nodes behind it do not trace the message.
//
// The rules of an [Observer] hold: the session calls the methods from several goroutines at once and
// holds no lock, packets wait meanwhile, and a panic ends the session.
type Tracer interface {
	// Sent is called for each message that this node sends, before it leaves. The context is that of
	// [mino.ContextSender] or [WithSendContext], or [context.Background]. Sent returns nil for a message that
	// is not to be traced.
	Sent(ctx context.Context, stream StreamInfo, info PacketInfo) Trace

	// Arrived is called for each packet that has come from a neighbour with a context, before this node
	// looks at where it may come from. The neighbour may have written anything, up to [MaxTrace] bytes. If
	// Arrived returns nil, the context goes on as it has come.
	Arrived(stream StreamInfo, from mino.Address, carried []byte, info PacketInfo) Trace
}

// Trace is the way of one packet through one node, or of one message that this node sends.
type Trace interface {
	// Carry is called once, and returns what travels on with the packet. With nothing, or with more than
	// [MaxTrace] bytes, the next nodes do not trace the packet. Nobody may change the bytes later.
	Carry() []byte

	// Known is called once for each destination when this node knows its outcome. The latency is the
	// time that the packet has been at this node.
	Known(outcome Outcome)

	// End is called once, after all outcomes. If this node has refused the packet, there is none, and the
	// error says why.
	End(err error)
}

// WithTracer sets the tracer. The last one counts. A session without a tracer, or with nil, only passes
// on what others trace.
func WithTracer(tracer Tracer) Option {
	return optionFunc(func(c *config) { c.tracer = tracer })
}

// WithSendContext sets the context that the tracer gets for messages without one of their own, such as that
// in which an orchestrator opens its stream. The end of the context has no effect. Nil is ignored.
func WithSendContext(ctx context.Context) Option {
	return optionFunc(func(c *config) {
		if ctx != nil {
			c.sendContext = ctx
		}
	})
}

// followed is a packet whose outcomes the observer or the tracer wants to know.
type followed struct {
	// to has the destinations, and at is when the packet began its way at this node.
	to map[string]mino.Address
	at time.Time
	// own is set for a message that this node sends.
	own bool

	// trace is nil if the packet is not traced. left counts the outcomes that it waits for, and carry is
	// what goes on with the packet.
	trace Trace
	left  atomic.Int64
	carry []byte
}

func newFollowed(to recipients, trace Trace) *followed {
	f := &followed{to: make(map[string]mino.Address, len(to.keys)), at: time.Now(), trace: trace}
	for i, key := range to.keys {
		f.to[key] = to.addrs[i]
	}

	f.left.Store(int64(len(f.to)))

	return f
}

// departs follows a message of this node, if anybody wants that.
func (w *witness) departs(ctx context.Context, set *pending.Set, to recipients, size int) {
	if w.observer.OutcomeKnown == nil && w.tracer == nil {
		return
	}

	var trace Trace

	if w.tracer != nil {
		info := PacketInfo{Source: w.stream.Node, Destinations: len(to.keys), Bytes: size}
		w.observe(func() { trace = w.tracer.Sent(ctx, w.stream, info) })
	}

	f := newFollowed(to, trace)
	f.own = true
	w.carry(f)
	set.SetTag(f)
}

// arrives follows a packet of a neighbour, if it is traced. It returns the context that goes on.
func (w *witness) arrives(from mino.Address, carried []byte, packet router.Packet, set *pending.Set,
	to recipients,
) []byte {
	switch {
	case len(carried) == 0, len(carried) > MaxTrace:
		return nil
	case w.tracer == nil:
		return carried
	}

	var trace Trace

	w.observe(func() { trace = w.tracer.Arrived(w.stream, from, carried, infoOf(packet)) })

	if trace == nil {
		return carried
	}

	f := newFollowed(to, trace)
	w.carry(f)
	set.SetTag(f)

	return f.carry
}

// carry asks for what goes on with a packet.
func (w *witness) carry(f *followed) {
	if f.trace == nil {
		return
	}

	w.observe(func() { f.carry = f.trace.Carry() })

	if len(f.carry) > MaxTrace {
		f.carry = nil
	}
}

// rareOf returns what travels with a message of this node beside the usual.
func rareOf(set *pending.Set) *link.Rare {
	f, ok := set.Tag().(*followed)
	if !ok {
		return nil
	}

	return link.NewRare(nil, f.carry)
}

// known tells the trace an outcome, and its end after the last one.
func (w *witness) known(f *followed, o Outcome) {
	if f.trace == nil {
		return
	}

	w.observe(func() { f.trace.Known(o) })

	// The other outcomes come from other goroutines.
	if f.left.Add(-1) == 0 {
		w.observe(func() { f.trace.End(nil) })
	}
}

// traceRefused ends the trace of a packet that this node has refused.
func (w *witness) traceRefused(set *pending.Set, err error) {
	f, ok := set.Tag().(*followed)
	if ok && f.trace != nil {
		w.observe(func() { f.trace.End(err) })
	}
}
