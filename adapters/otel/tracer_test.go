package otel_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/adapters/otel"
	"github.com/minogrpc/session/mino"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// example is a context of the W3C specification, with a state.
const example = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\nrojo=00f067aa0ba902b7"

func newTracer(t *testing.T, tracers trace.TracerProvider) session.Tracer {
	t.Helper()

	telemetry, err := otel.New(otel.WithTracerProvider(tracers))
	require.NoError(t, err)

	return telemetry.Tracer()
}

func TestTracer_CarriesTheW3CContext(t *testing.T) {
	tracer := newTracer(t, newSpans().provider)

	carried := tracer.Arrived(session.StreamInfo{}, nil, []byte(example), session.PacketInfo{}).Carry()
	require.Regexp(t, "^00-4bf92f3577b34da6a3ce929d0e0e4736-[0-9a-f]{16}-01\nrojo=00f067aa0ba902b7$", string(carried))
	require.NotContains(t, string(carried), "00f067aa0ba902b7-01", "the new span has an id of its own")

	// A state that is too long is left out.
	long := example + strings.Repeat(",a=b", 120)
	carried = tracer.Arrived(session.StreamInfo{}, nil, []byte(long), session.PacketInfo{}).Carry()
	require.Regexp(t, "^00-4bf92f3577b34da6a3ce929d0e0e4736-[0-9a-f]{16}-01$", string(carried))
}

func TestTracer_IgnoresWhatIsMalformed(t *testing.T) {
	spans := newSpans()
	tracer := newTracer(t, spans.provider)

	for _, carried := range []string{
		"", "\n", "rojo=1", "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
		"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "\n" + example, strings.ToUpper(example),
	} {
		require.Nil(t, tracer.Arrived(session.StreamInfo{}, nil, []byte(carried), session.PacketInfo{}), "%q", carried)
	}

	require.Empty(t, spans.GetSpans())
}

// What nobody samples costs no node anything: a Send carries nothing, and a context that comes goes on as it is.
func TestTracer_CarriesNothingUnlessItIsSampled(t *testing.T) {
	never := newTracer(t, sdk.NewTracerProvider(sdk.WithSampler(sdk.NeverSample())))
	require.Nil(t, never.Sent(context.Background(), session.StreamInfo{}, session.PacketInfo{}))
	require.Nil(t, never.Arrived(session.StreamInfo{}, nil, []byte(example), session.PacketInfo{}))

	// The spans of a node without an SDK are those of the caller.
	global, err := otel.New()
	require.NoError(t, err)

	ctx, span := newSpans().provider.Tracer("test").Start(context.Background(), "caller")
	defer span.End()

	carried := global.Tracer().Sent(ctx, session.StreamInfo{}, session.PacketInfo{}).Carry()
	require.Contains(t, string(carried), span.SpanContext().SpanID().String())
	require.Nil(t, global.Tracer().Sent(context.Background(), session.StreamInfo{}, session.PacketInfo{}))
}

// However many destinations were not reached, a span has the first of them.
func TestTracer_BoundsTheEvents(t *testing.T) {
	spans := newSpans()
	addr := session.NewAddress("grpc://a:1")
	sent := newTracer(t, spans.provider).Sent(context.Background(), session.StreamInfo{Procedure: "work"},
		session.PacketInfo{Destinations: 101})

	for range 100 {
		sent.Known(session.Outcome{Destination: addr, Err: &session.DeliveryError{
			Destination: addr, Reason: session.ReasonNoRoute, Hop: addr, Cause: errors.New("no"),
		}})
	}

	sent.Known(session.Outcome{Destination: addr})
	sent.End(nil)

	span := spans.only(t, "send work")
	require.Len(t, span.Events, 16)
	require.Equal(t, "no_route", attributeOf(span, "error.type"))
	require.Equal(t, "100 of 101 destinations not reached", span.Status.Description)
}

func TestTracer_ARefusalIsAnError(t *testing.T) {
	spans := newSpans()
	newTracer(t, spans.provider).Arrived(session.StreamInfo{Procedure: "work"}, nil, []byte(example),
		session.PacketInfo{}).End(session.ErrSource)

	span := spans.only(t, "process work")
	require.Equal(t, codes.Error, span.Status.Code)
	require.Equal(t, session.ErrSource.Error(), span.Status.Description)
}

// Promise R3: whatever a neighbour writes, the packet is traced with a valid context or not at all, and what is
// exported is valid.
func FuzzTracer(f *testing.F) {
	f.Add([]byte(example), "work", "grpc://a:1")
	f.Add([]byte(example+strings.Repeat(",a=b", 120)), "\xff", "\xff")
	f.Add([]byte("\n\n"), "", "")
	f.Fuzz(func(t *testing.T, carried []byte, name, host string) {
		spans := newSpans()
		tracer := newTracer(t, spans.provider)

		var addr mino.Address = session.NewAddress(host)

		stream := session.StreamInfo{Node: addr, Procedure: name, Stream: name, Protocol: name}

		passes := tracer.Arrived(stream, addr, carried, session.PacketInfo{Source: addr, Destinations: 2})
		if passes == nil {
			return
		}

		next := passes.Carry()
		if len(next) > session.MaxTrace {
			t.Errorf("%d bytes go on", len(next))
		}

		if len(next) > 0 && tracer.Arrived(stream, addr, next, session.PacketInfo{}) == nil {
			t.Errorf("%q goes on", next)
		}

		passes.Known(session.Outcome{Destination: addr, Err: &session.DeliveryError{
			Destination: addr, Reason: session.Reason(len(name)), Hop: addr, Cause: errors.New(name),
		}})
		passes.End(errors.New(name))

		for _, span := range spans.GetSpans() {
			for _, attr := range span.Attributes {
				if !utf8.ValidString(attr.Value.String()) {
					t.Errorf("%v is no UTF-8", attr.Key)
				}
			}
		}
	})
}
