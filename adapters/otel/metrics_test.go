package otel_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/adapters/otel"
	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/minogrpc"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// measurements are the metrics of one collection, by name.
type measurements map[string]metricdata.Metrics

// collect reads the metrics as an exporter does.
func collect(t *testing.T, reader *metric.ManualReader) measurements {
	t.Helper()

	var all metricdata.ResourceMetrics

	require.NoError(t, reader.Collect(t.Context(), &all))

	byName := make(measurements)

	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			byName[m.Name] = m
		}
	}

	return byName
}

// sum returns the sum of all series with these attributes, and how many there are.
func (m measurements) sum(name string, attrs ...attribute.KeyValue) (total int64, series int) {
	data, _ := m[name].Data.(metricdata.Sum[int64])

	for _, point := range data.DataPoints {
		if has(point.Attributes, attrs) {
			total += point.Value
			series++
		}
	}

	return total, series
}

// count returns how many values a histogram has, and their sum.
func (m measurements) count(name string, attrs ...attribute.KeyValue) (n uint64, sum float64) {
	data, _ := m[name].Data.(metricdata.Histogram[float64])

	for _, point := range data.DataPoints {
		if has(point.Attributes, attrs) {
			n += point.Count
			sum += point.Sum
		}
	}

	return n, sum
}

func has(set attribute.Set, attrs []attribute.KeyValue) bool {
	for _, want := range attrs {
		if got, ok := set.Value(want.Key); !ok || got != want.Value {
			return false
		}
	}

	return true
}

// attributesOf returns the attributes of each series.
func attributesOf(t *testing.T, m metricdata.Metrics) []attribute.Set {
	t.Helper()

	var sets []attribute.Set

	switch data := m.Data.(type) {
	case metricdata.Sum[int64]:
		for _, point := range data.DataPoints {
			sets = append(sets, point.Attributes)
		}
	case metricdata.Histogram[float64]:
		for _, point := range data.DataPoints {
			sets = append(sets, point.Attributes)
		}
	default:
		require.Fail(t, "another kind of metric", m.Name)
	}

	return sets
}

// Promise P3: the metrics tell the outcomes of a round with their latencies, and what the nodes know about
// themselves.
func TestMetrics_TellWhatARoundDid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cluster(t, 5, otel.WithNeighbors())
		procedure := attribute.String("minogrpc.procedure", "work")
		destination := attribute.String("messaging.destination.name", "work")

		ctx, cancel := context.WithCancel(t.Context())
		out, _, err := c.RPC(0, "work").Stream(ctx, c.Players())
		require.NoError(t, err)

		for err := range out.Send(word("hello"), c.Addresses()...) {
			require.NoError(t, err)
		}

		for range out.Send(word("hello"), session.NewAddress("grpc://stranger:1")) {
			continue
		}

		c.Slow(4, 300*time.Millisecond)
		time.Sleep(2 * session.DefaultLiveness)

		m := collect(t, c.readers[0])

		all, _ := m.sum("messaging.client.sent.messages", destination)
		require.EqualValues(t, 6, all)

		failed, _ := m.sum("messaging.client.sent.messages", destination, attribute.String("error.type", "no_route"))
		require.EqualValues(t, 1, failed)

		outcomes, _ := m.count("messaging.client.operation.duration")
		require.EqualValues(t, 6, outcomes)

		trips, took := m.count("minogrpc.link.round_trip", attribute.String("minogrpc.neighbor", c.Address(4).String()))
		require.Positive(t, trips)
		require.Greater(t, took, 0.3)

		for name, want := range map[string]int64{
			"minogrpc.stream.active": 2, "minogrpc.handler.active": 1, "minogrpc.queue.packets": 0,
		} {
			got, _ := m.sum(name, procedure)
			require.Equal(t, want, got, name)
		}

		open, _ := m.sum("minogrpc.link.active", attribute.String("minogrpc.link.state", "open"))
		require.EqualValues(t, 2+4, open, "the orchestrator and the root, and four children")

		limit, _ := m.sum("minogrpc.memory.limit")
		require.Positive(t, limit)

		taken, _ := collect(t, c.readers[4]).sum("messaging.client.consumed.messages", destination)
		require.EqualValues(t, 1, taken)

		cancel()
		time.Sleep(5 * time.Second)
		requireOver(t, collect(t, c.readers[0]))
	})
}

// requireOver checks what is left of the streams.
func requireOver(t *testing.T, m measurements) {
	t.Helper()

	streams, _ := m.sum("minogrpc.stream.active")
	require.Zero(t, streams)

	all, _ := m.sum("messaging.client.sent.messages")
	require.EqualValues(t, 6, all, "it never goes down")
}

// node is a node whose snapshot the test has made.
type node func() minogrpc.Snapshot

// Snapshot implements otel.Node.
func (n node) Snapshot() minogrpc.Snapshot { return n() }

// everything returns the metrics of a telemetry that has been told of everything, and of many neighbours.
func everything(t *testing.T, opts ...otel.Option) measurements {
	t.Helper()

	reader := metric.NewManualReader()
	telemetry, err := otel.New(append(opts,
		otel.WithMeterProvider(metric.NewMeterProvider(metric.WithReader(reader))))...)
	require.NoError(t, err)

	observer, addr := telemetry.Observer(), session.NewAddress("grpc://a:1")
	stream := session.StreamInfo{Node: addr, Procedure: "work", Stream: "id"}

	for reason := session.Reason(-1); reason < 9; reason++ {
		failed := &session.DeliveryError{Destination: addr, Reason: reason, Hop: addr, Cause: errors.New("no")}
		observer.OutcomeKnown(stream, session.Outcome{Destination: addr, Err: failed, Latency: time.Second})
		observer.PacketDropped(stream, failed)
	}

	observer.RelayOpened(stream, addr)
	observer.RelayBroken(stream, addr, nil)
	observer.RelayResumed(stream, addr)
	observer.RelayLost(stream, addr, nil)
	observer.RelayClosed(stream, addr)
	observer.LossKnown(stream, session.Loss{Node: addr})
	observer.LossKnown(stream, session.Loss{Node: addr, From: addr})
	observer.PacketSent(stream, addr, session.PacketInfo{Bytes: 3})
	observer.PacketReceived(stream, addr, session.PacketInfo{Bytes: 4})
	observer.PacketDelivered(stream, session.PacketInfo{})
	observer.PacketRefused(stream, addr, nil)
	observer.MessageRejected(stream, nil)

	st := host.Stream{Snapshot: session.Snapshot{Procedure: "work"}, Role: host.StreamRoot}

	for i := range 300 {
		name := fmt.Sprintf("grpc://n%d:1", i)
		observer.RoundTrip(stream, session.NewAddress(name), time.Second)
		st.Children = append(st.Children, session.Neighbor{Address: name, State: session.NeighborOpen})
	}

	snap := minogrpc.Snapshot{}
	snap.Streams = []host.Stream{st}
	snap.Calls = []host.RunningCall{{Procedure: "ask"}}

	_, err = telemetry.Watch(node(func() minogrpc.Snapshot { return snap }))
	require.NoError(t, err)

	return collect(t, reader)
}

// The documentation and the code have the same metrics, with the same units, and each has a description.
func TestMetrics_AreDocumented(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	require.NoError(t, err)

	_, section, _ := strings.Cut(string(doc), "# Metrics")
	section = strings.ReplaceAll(section, "\n//     ", " ")
	documented := make(map[string]string)

	for _, line := range regexp.MustCompile(`(?m)^//   - .*$`).FindAllString(section, -1) {
		name := regexp.MustCompile(`((?:messaging|minogrpc)[a-z_.]+) \(([^),]+)`)
		for _, match := range name.FindAllStringSubmatch(line, -1) {
			documented[match[1]] = match[2]
		}
	}

	all := everything(t)
	for name := range all {
		require.Equal(t, documented[name], all[name].Unit, "unit of %s", name)
		require.NotEmpty(t, all[name].Description)
	}

	require.Len(t, all, len(documented), "the documentation has more")
}

// The series are bounded: no attribute has the id of a stream, and none an address that nobody has asked for.
// Only the reasons of the library are error types.
func TestMetrics_AreBounded(t *testing.T) {
	for name, m := range everything(t) {
		sets := attributesOf(t, m)
		require.LessOrEqual(t, len(sets), 7, name)

		for _, set := range sets {
			require.False(t, set.HasValue("minogrpc.neighbor"), name)

			for _, attr := range set.ToSlice() {
				require.NotEqual(t, "id", attr.Value.String(), name)
			}
		}
	}

	common := attribute.String("node", "a")
	all := everything(t, otel.WithNeighbors(), otel.WithAttributes(common))

	for name, m := range all {
		sets := attributesOf(t, m)
		require.LessOrEqual(t, len(sets), 257, name)

		for _, set := range sets {
			require.True(t, has(set, []attribute.KeyValue{common}), name)
		}
	}

	other := attribute.String("minogrpc.neighbor", "other")
	trips, _ := all.count("minogrpc.link.round_trip", other)
	require.EqualValues(t, 44, trips)

	links, series := all.sum("minogrpc.link.active", other)
	require.EqualValues(t, 44, links)
	require.Equal(t, 1, series)
}

// Other nodes choose their addresses, and exporters refuse what is not UTF-8.
func TestMetrics_AttributesAreAlwaysValid(t *testing.T) {
	hostile := "grpc://\xff\"\n" + strings.Repeat("\u00e9", 500)
	reader := metric.NewManualReader()
	telemetry, err := otel.New(otel.WithNeighbors(),
		otel.WithMeterProvider(metric.NewMeterProvider(metric.WithReader(reader))))
	require.NoError(t, err)

	telemetry.Observer().RoundTrip(session.StreamInfo{}, session.NewAddress(hostile), time.Second)
	telemetry.Observer().PacketSent(session.StreamInfo{Procedure: hostile}, nil, session.PacketInfo{})

	for _, m := range collect(t, reader) {
		for _, set := range attributesOf(t, m) {
			for _, attr := range set.ToSlice() {
				require.True(t, utf8.ValidString(attr.Value.AsString()))
				require.LessOrEqual(t, len(attr.Value.AsString()), 300)
			}
		}
	}
}
