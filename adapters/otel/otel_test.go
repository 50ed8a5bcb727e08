package otel_test

import (
	"context"
	"errors"
	"io"
	"net/url"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/adapters/otel"
	"github.com/minogrpc/session/internal/existing"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/router/tree"
	"github.com/minogrpc/session/serde"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/metric"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// word is a message.
type word string

// Serialize implements serde.Message.
func (w word) Serialize(serde.Context) ([]byte, error) { return []byte(w), nil }

// Deserialize implements serde.Factory.
func (word) Deserialize(_ serde.Context, data []byte) (serde.Message, error) { return word(data), nil }

// echo is a handler that sends back what it gets, within a span of its own.
type echo struct {
	mino.UnsupportedHandler

	tracer trace.Tracer
}

// StreamContext implements mino.ContextHandler.
func (e echo) StreamContext(ctx context.Context, out mino.Sender, in mino.Receiver) error {
	for {
		from, msg, err := in.Recv(ctx)
		if err != nil {
			return err
		}

		if msg == word("answer") {
			working, span := e.tracer.Start(ctx, "work")
			mino.InContext(working, out).Send(msg, from)
			span.End()
		}
	}
}

// spans are what nodes have exported, from memory.
type spans struct {
	*tracetest.InMemoryExporter

	provider *sdk.TracerProvider
}

func newSpans() *spans {
	exporter := tracetest.NewInMemoryExporter()

	return &spans{exporter, sdk.NewTracerProvider(sdk.WithSyncer(exporter))}
}

// named returns the spans with that name, by their node.
func (s *spans) named(t *testing.T, name string) map[string]tracetest.SpanStub {
	t.Helper()

	found := make(map[string]tracetest.SpanStub)

	for _, span := range s.GetSpans() {
		if span.Name == name {
			node := attributeOf(span, "minogrpc.node")
			require.NotContains(t, found, node, "twice at a node")

			found[node] = span
		}
	}

	return found
}

// only returns the one span with that name.
func (s *spans) only(t *testing.T, name string) tracetest.SpanStub {
	t.Helper()

	all := s.named(t, name)
	require.Len(t, all, 1)

	for _, span := range all {
		return span
	}

	return tracetest.SpanStub{}
}

// attributeOf returns an attribute of a span as a text.
func attributeOf(span tracetest.SpanStub, key attribute.Key) string {
	for _, attr := range span.Attributes {
		if attr.Key == key {
			return attr.Value.String()
		}
	}

	return ""
}

// network is a cluster of traced nodes.
type network struct {
	*sessiontest.Nodes
	*spans

	readers []*metric.ManualReader
}

// cluster starts nodes that are traced and measured.
func cluster(t *testing.T, n int, opts ...otel.Option) *network {
	t.Helper()

	c := &network{spans: newSpans(), readers: make([]*metric.ManualReader, n)}
	handler := echo{tracer: c.provider.Tracer("test")}

	c.Nodes = sessiontest.Cluster(t, n, sessiontest.WithRPC("work", handler, word("")),
		sessiontest.WithNodes(func(p sessiontest.Place) (sessiontest.Node, error) {
			c.readers[p.Index] = metric.NewManualReader()
			provider := metric.NewMeterProvider(metric.WithReader(c.readers[p.Index]))

			own := []otel.Option{otel.WithTracerProvider(c.provider), otel.WithMeterProvider(provider)}

			telemetry, err := otel.New(slices.Concat(opts, own)...)
			if err != nil {
				return nil, err
			}

			node, err := newNode(p, telemetry.Options()...)
			if err != nil {
				return nil, err
			}

			_, err = telemetry.Watch(node)

			return node, err
		}))

	return c
}

// newNode starts a node at a place of a network.
func newNode(p sessiontest.Place, opts ...session.Option) (*minogrpc.Minogrpc, error) {
	return minogrpc.NewMinogrpc(nil, &url.URL{Scheme: "grpc", Host: p.Host},
		tree.NewRouter(minogrpc.NewAddressFactory()),
		minogrpc.NoTLS(), minogrpc.WithListener(p.Listener),
		minogrpc.WithDialOptions(grpc.WithContextDialer(p.Dial)),
		minogrpc.WithSessionOptions(opts...))
}

// Promise P3: a Send begins a child of the span of the caller, and each node on the way of the message adds a
// child of the span of the node before it.
func TestTrace_FollowsTheTree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cluster(t, 13)

		ctx, round := c.provider.Tracer("test").Start(t.Context(), "round")
		out, _, err := c.RPC(0, "work").Stream(ctx, c.Players())
		require.NoError(t, err)

		for err := range out.Send(word("hello"), c.Addresses()...) {
			require.NoError(t, err)
		}

		synctest.Wait()
		round.End()

		send := c.only(t, "send work")
		require.Equal(t, round.SpanContext().SpanID(), send.Parent.SpanID())
		require.Equal(t, trace.SpanKindProducer, send.SpanKind)
		require.Equal(t, codes.Unset, send.Status.Code)
		require.Equal(t, "13", attributeOf(send, "messaging.batch.message_count"))
		require.Equal(t, "5", attributeOf(send, "messaging.message.body.size"))

		hops := c.named(t, "process work")
		require.Len(t, hops, 13)

		grandchildren := 0

		for node, hop := range hops {
			require.Equal(t, trace.SpanKindConsumer, hop.SpanKind)
			require.Equal(t, round.SpanContext().TraceID(), hop.SpanContext.TraceID())
			require.True(t, hop.Parent.IsRemote())
			require.Equal(t, attributeOf(send, "minogrpc.node"), attributeOf(hop, "minogrpc.source"))

			parent, ok := hops[attributeOf(hop, "minogrpc.neighbor")]
			if node == c.Address(0).String() {
				parent, ok = send, true
			} else if parent.SpanContext.SpanID() != hops[c.Address(0).String()].SpanContext.SpanID() {
				grandchildren++
			}

			require.True(t, ok)
			require.Equal(t, parent.SpanContext.SpanID(), hop.Parent.SpanID(), "parent of %v", node)
			require.False(t, hop.EndTime.After(parent.EndTime), "%v knows the outcome first", node)
		}

		require.Positive(t, grandchildren)
	})
}

// Promise P3: what a handler sends in the context of its span belongs to that, and a message without a
// context begins a trace.
func TestTrace_AHandlersMessagesBelongToItsSpan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cluster(t, 2)

		out, in, err := c.RPC(0, "work").Stream(t.Context(), c.Players())
		require.NoError(t, err)

		for err := range out.Send(word("answer"), c.Address(1)) {
			require.NoError(t, err)
		}

		_, _, err = in.Recv(t.Context())
		require.NoError(t, err)
		synctest.Wait()

		sends := c.named(t, "send work")
		require.Len(t, sends, 2)

		work := c.only(t, "work")
		answer := sends[c.Address(1).String()]
		require.Equal(t, work.SpanContext.SpanID(), answer.Parent.SpanID())
		require.Equal(t, work.SpanContext.TraceID(), answer.SpanContext.TraceID())
		require.False(t, answer.Parent.IsRemote())

		for node, send := range sends {
			if node != c.Address(1).String() {
				require.False(t, send.Parent.IsValid())
			}
		}
	})
}

// Promise P3: the spans of the nodes on the way to a frozen node end with the outcome and name it.
func TestTrace_EndsWithTheOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cluster(t, 13)

		out, _, err := c.RPC(0, "work").Stream(t.Context(), c.Players())
		require.NoError(t, err)

		for err := range out.Send(word("hello"), c.Addresses()...) {
			require.NoError(t, err)
		}

		synctest.Wait()

		// A leaf has no span below its own.
		hops := c.named(t, "process work")
		frozen := 0

		for i := 1; i < c.Len() && frozen == 0; i++ {
			leaf := true
			for _, hop := range hops {
				leaf = leaf && hop.Parent.SpanID() != hops[c.Address(i).String()].SpanContext.SpanID()
			}

			if leaf {
				frozen = i
			}
		}

		gateway := attributeOf(hops[c.Address(frozen).String()], "minogrpc.neighbor")

		c.Reset()
		c.Freeze(frozen)

		failures := 0
		for range out.Send(word("hello"), c.Addresses()...) {
			failures++
		}

		require.Equal(t, 1, failures)
		synctest.Wait()

		hops = c.named(t, "process work")
		require.Len(t, hops, 12)

		for _, span := range []tracetest.SpanStub{c.only(t, "send work"), hops[gateway]} {
			require.Equal(t, codes.Error, span.Status.Code)
			require.Equal(t, "timeout", attributeOf(span, "error.type"))
			require.Equal(t, "1", attributeOf(span, "minogrpc.destinations.failed"))
			require.Len(t, span.Events, 1)
			require.Contains(t, span.Events[0].Attributes,
				attribute.String("minogrpc.destination", c.Address(frozen).String()))
			require.Contains(t, span.Events[0].Attributes, attribute.String("error.type", "timeout"))
		}

		c.Heal(frozen)
	})
}

// mixed starts an existing node n0, which is the root of the streams, and one of ours that is traced, n1.
func mixed(t *testing.T) (c *spans, ours *minogrpc.Minogrpc, old mino.Address) {
	t.Helper()

	net := sessiontest.NewNetwork()
	t.Cleanup(net.Close)

	listener, err := net.Listen("n0:1")
	require.NoError(t, err)

	node, err := existing.Start(existing.Config{Listener: listener, Host: "n0:1", Dial: net.Dialer("n0:1")})
	require.NoError(t, err)
	t.Cleanup(node.Stop)

	node.Handle("work", existing.Handler{Stream: func(s *existing.Session) error {
		for {
			_, _, err := s.Recv(context.Background())
			if errors.Is(err, io.EOF) {
				return nil
			}

			if err != nil {
				return err
			}
		}
	}})

	listener, err = net.Listen("n1:1")
	require.NoError(t, err)

	c = newSpans()
	telemetry, err := otel.New(otel.WithTracerProvider(c.provider))
	require.NoError(t, err)

	ours, err = newNode(sessiontest.Place{Host: "n1:1", Listener: listener, Dial: net.Dialer("n1:1")},
		telemetry.Options()...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, ours.Stop()) })

	return c, ours, session.AddressFactory{}.FromText([]byte(node.Address()))
}

// Promise P3: an existing node does not pass on the context of a trace. The message arrives, and the span
// of the node before tells its outcome, but the nodes behind are not in the trace.
func TestTrace_EndsAtAnExistingNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ours, old := mixed(t)

		rpc, err := ours.CreateRPC("work", echo{tracer: c.provider.Tracer("test")}, word(""))
		require.NoError(t, err)

		ctx, cancel := context.WithCancel(t.Context())

		out, in, err := rpc.Stream(ctx, mino.NewAddresses(old, ours.GetAddress()))
		require.NoError(t, err)

		// It reaches this node as a player through the existing root, and so does the answer.
		for err := range out.Send(word("answer"), old, ours.GetAddress()) {
			require.NoError(t, err)
		}

		_, msg, err := in.Recv(ctx)
		require.NoError(t, err)
		require.Equal(t, word("answer"), msg)
		synctest.Wait()

		require.Empty(t, c.named(t, "process work"))

		count := 0

		for _, span := range c.GetSpans() {
			if span.Name == "send work" {
				count++

				require.Equal(t, codes.Unset, span.Status.Code)
			}
		}

		require.Equal(t, 2, count)
		cancel()
		time.Sleep(time.Minute)
	})
}
