package otel

import (
	"context"
	"strings"

	"github.com/minogrpc/session"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// The headers of the W3C trace context.
const (
	headerParent = "traceparent"
	headerState  = "tracestate"
)

// write returns a span as it travels: the value of traceparent and, after a line feed, that of tracestate if
// there is one and room for it.
func write(sc trace.SpanContext) []byte {
	headers := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(trace.ContextWithSpanContext(context.Background(), sc), headers)

	parent, state := headers.Get(headerParent), headers.Get(headerState)
	if state != "" && len(parent)+1+len(state) <= session.MaxTrace {
		parent += "\n" + state
	}

	return []byte(parent)
}

// read returns the span that a neighbour has written. It is invalid if that is malformed.
func read(carried []byte) trace.SpanContext {
	parent, state, _ := strings.Cut(string(carried), "\n")
	headers := propagation.MapCarrier{headerParent: parent, headerState: state}

	return trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), headers))
}
