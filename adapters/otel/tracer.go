package otel

import (
	"context"
	"fmt"
	"sync"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// maxEvents is how many destinations that were not reached a span tells one by one.
const maxEvents = 16

// eventUndelivered is the event of a destination that was not reached.
const eventUndelivered = "minogrpc.undelivered"

// tracer implements session.Tracer.
type tracer struct{ trace.Tracer }

// Sent implements session.Tracer. A message that nobody samples carries nothing: no node behind needs it.
func (t tracer) Sent(ctx context.Context, stream session.StreamInfo, info session.PacketInfo) session.Trace {
	_, span := t.Start(ctx, operationSend+" "+text(stream.Procedure), trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(attributesOf(operationSend, stream, info)...))

	if !span.IsRecording() && !span.SpanContext().IsSampled() {
		span.End()

		return nil
	}

	return &passage{span: span, all: info.Destinations}
}

// Arrived implements session.Tracer. What this node does not record goes on as it came.
func (t tracer) Arrived(stream session.StreamInfo, from mino.Address, carried []byte, info session.PacketInfo,
) session.Trace {
	parent := read(carried)
	if !parent.IsValid() {
		return nil
	}

	ctx := trace.ContextWithRemoteSpanContext(context.Background(), parent)
	attrs := append(attributesOf(operationHop, stream, info), keyNeighbor.String(textOf(from)))

	_, span := t.Start(ctx, operationHop+" "+text(stream.Procedure), trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(attrs...))

	if !span.IsRecording() {
		span.End()

		return nil
	}

	return &passage{span: span, all: info.Destinations}
}

// attributesOf describes a packet.
func attributesOf(operation string, stream session.StreamInfo, info session.PacketInfo) []attribute.KeyValue {
	attrs := []attribute.KeyValue{
		keySystem.String(system),
		keyOperation.String(operation),
		keyKind.String(operation),
		keyDestination.String(text(stream.Procedure)),
		keyConversation.String(text(stream.Stream)),
		keySize.Int(info.Bytes),
		keyNode.String(textOf(stream.Node)),
		keySource.String(textOf(info.Source)),
	}

	if info.Destinations > 1 {
		attrs = append(attrs, keyCount.Int(info.Destinations))
	}

	if stream.Protocol != "" {
		attrs = append(attrs, keyProtocol.String(text(stream.Protocol)))
	}

	return attrs
}

// passage is a packet at this node. It implements session.Trace.
type passage struct {
	span trace.Span
	// all is how many destinations there are.
	all int

	mu sync.Mutex
	// failed counts those that were not reached, and reason is why the last one was not.
	failed int
	reason string
}

// Carry implements session.Trace.
func (p *passage) Carry() []byte {
	if !p.span.SpanContext().IsSampled() {
		return nil
	}

	return write(p.span.SpanContext())
}

// Known implements session.Trace.
func (p *passage) Known(o session.Outcome) {
	if o.Err == nil {
		return
	}

	reason := reasons[indexOf(o.Err)]

	p.mu.Lock()
	p.failed++
	p.reason = reason
	told := p.failed <= maxEvents
	p.mu.Unlock()

	if told && p.span.IsRecording() {
		p.span.AddEvent(eventUndelivered, trace.WithAttributes(
			keyPlayer.String(textOf(o.Destination)), keyError.String(reason),
			keyHop.String(textOf(o.Err.Hop)), keyMessage.String(text(fmt.Sprint(o.Err.Cause)))))
	}
}

// End implements session.Trace.
func (p *passage) End(err error) {
	defer p.span.End()

	p.mu.Lock()
	defer p.mu.Unlock()

	switch {
	case err != nil:
		p.span.SetAttributes(keyError.String("refused"))
		p.span.SetStatus(codes.Error, text(err.Error()))
	case p.failed > 0:
		p.span.SetAttributes(keyError.String(p.reason), keyFailed.Int(p.failed))
		p.span.SetStatus(codes.Error, fmt.Sprintf("%d of %d destinations not reached", p.failed, p.all))
	}
}
