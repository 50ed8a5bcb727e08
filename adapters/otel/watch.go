package otel

import (
	"context"
	"fmt"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/minogrpc"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Node is what a telemetry watches. [minogrpc.Minogrpc] is one.
type Node interface {
	// Snapshot returns what the node knows about itself at this moment.
	Snapshot() minogrpc.Snapshot
}

// gauges are the instruments of a snapshot.
type gauges struct {
	config

	streams, handlers, queue, queueSize metric.Int64ObservableUpDownCounter
	links, waiting, memory, memoryLimit metric.Int64ObservableUpDownCounter
}

// Watch adds what the node knows about itself to the metrics. Each collection takes one snapshot. Unregister
// of the result ends that.
func (t *Telemetry) Watch(node Node) (metric.Registration, error) {
	mk := maker{meter: t.meter}
	g := gauges{
		config:      t.metrics.config,
		streams:     mk.gauge("minogrpc.stream.active", "{stream}", "Streams in which the node takes part."),
		handlers:    mk.gauge("minogrpc.handler.active", "{handler}", "Handlers of streams and calls that run."),
		queue:       mk.gauge("minogrpc.queue.packets", "{packet}", "Packets that wait for the handlers."),
		queueSize:   mk.gauge("minogrpc.queue.size", "By", "Size of the packets that wait for the handlers."),
		links:       mk.gauge("minogrpc.link.active", "{link}", "Links to neighbours."),
		waiting:     mk.gauge("minogrpc.link.waiting", "{packet}", "Packets for neighbours without an outcome."),
		memory:      mk.gauge("minogrpc.memory.usage", "By", "Memory in use of the budget of the node."),
		memoryLimit: mk.gauge("minogrpc.memory.limit", "By", "Memory budget of the node."),
	}

	if err := mk.err(); err != nil {
		return nil, err
	}

	registration, err := t.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		g.observe(o, node.Snapshot())

		return nil
	}, g.streams, g.handlers, g.queue, g.queueSize, g.links, g.waiting, g.memory, g.memoryLimit)
	if err != nil {
		return nil, fmt.Errorf("watch: %w", err)
	}

	return registration, nil
}

// key is one series: an instrument with up to two attributes.
type key struct {
	instrument metric.Int64ObservableUpDownCounter
	attrs      [2]attribute.KeyValue
}

// sums are the series of one collection. Streams that agree on the attributes share a series.
type sums map[key]int

func (s sums) add(g metric.Int64ObservableUpDownCounter, n int, attrs ...attribute.KeyValue) {
	k := key{instrument: g}
	copy(k.attrs[:], attrs)
	s[k] += n
}

// observe tells what is in a snapshot.
func (g *gauges) observe(o metric.Observer, snap minogrpc.Snapshot) {
	s := make(sums)

	s.add(g.memory, snap.Memory.Used)
	s.add(g.memoryLimit, snap.Memory.Limit)

	for i := range snap.Calls {
		s.add(g.handlers, 1, keyProcedure.String(text(snap.Calls[i].Procedure)))
	}

	neighbors := make(map[string]struct{})

	for i := range snap.Streams {
		g.stream(s, &snap.Streams[i])

		for _, list := range [][]session.Neighbor{snap.Streams[i].Parents, snap.Streams[i].Children} {
			for j := range list {
				g.neighbor(s, neighbors, &list[j])
			}
		}
	}

	for k, n := range s {
		var attrs []attribute.KeyValue

		for _, attr := range k.attrs {
			if attr.Valid() {
				attrs = append(attrs, attr)
			}
		}

		o.ObserveInt64(k.instrument, int64(n), g.with(attrs...))
	}
}

// stream adds what belongs to a stream and to no neighbour.
func (g *gauges) stream(s sums, st *host.Stream) {
	procedure := keyProcedure.String(text(st.Procedure))
	running := 0

	if st.Handler == host.HandlerRunning {
		running = 1
	}

	s.add(g.streams, 1, procedure, keyRole.String(string(st.Role)))
	s.add(g.handlers, running, procedure)
	s.add(g.queue, st.Queue.Packets, procedure)
	s.add(g.queueSize, st.Queue.Bytes, procedure)
}

// neighbor adds a neighbour of one stream.
func (g *gauges) neighbor(s sums, known map[string]struct{}, n *session.Neighbor) {
	state := keyLinkState.String(string(n.State))

	if !g.neighbors {
		s.add(g.links, 1, state)
		s.add(g.waiting, n.Waiting.Packets)

		return
	}

	name := text(n.Address)
	if _, ok := known[name]; !ok && len(known) >= maxNeighbors {
		name = others
	} else {
		known[name] = struct{}{}
	}

	s.add(g.links, 1, state, keyNeighbor.String(name))
	s.add(g.waiting, n.Waiting.Packets, keyNeighbor.String(name))
}
