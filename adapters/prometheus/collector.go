package prometheus

import (
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/minogrpc"
	"github.com/prometheus/client_golang/prometheus"
)

// Node is what a collector reads. [minogrpc.Minogrpc] is one.
type Node interface {
	// Snapshot returns what the node knows about itself at this moment.
	Snapshot() minogrpc.Snapshot
}

// The metrics of a snapshot.
var (
	streams       = desc("streams", "Streams in which the node takes part, by its role.", "procedure", "role")
	streamsCut    = desc("streams_cut", "Streams in which no parent has a way up.", "procedure")
	streamsMore   = desc("streams_omitted", "Streams that the other gauges leave out.")
	handlers      = desc("handlers", "Handlers of streams, by state.", "procedure", "state")
	handlerOldest = desc("handler_oldest_seconds", "How long the oldest handler of a stream runs.", "procedure")
	calls         = desc("calls", "Handlers of calls that run.", "procedure")
	callOldest    = desc("call_oldest_seconds", "How long the oldest handler of a call runs.", "procedure")

	queuePackets = desc("queue_packets", "Packets that wait for the handlers.", "procedure")
	queueBytes   = desc("queue_bytes", "Size of the packets that wait for the handlers.", "procedure")
	queueOldest  = desc("queue_oldest_seconds", "How long the oldest packet in a queue is at the node.", "procedure")

	neighbors = desc("neighbors", "Links to a neighbour, one for each stream, by state.",
		"neighbor", "relation", "state")
	neighborRoundTrip = desc("neighbor_last_round_trip_seconds", "Longest of the last round trips to a neighbour.",
		"neighbor", "relation")
	neighborSilence = desc("neighbor_silence_seconds", "Time since the last sign of life of a neighbour.",
		"neighbor", "relation")
	waitingPackets = desc("neighbor_waiting_packets", "Packets for a neighbour without an outcome.",
		"neighbor", "relation")
	waitingBytes = desc("neighbor_waiting_bytes", "Size of the packets for a neighbour without an outcome.",
		"neighbor", "relation")
	waitingOldest = desc("neighbor_waiting_oldest_seconds", "How long the oldest packet for a neighbour has waited.",
		"neighbor", "relation")

	memoryUsed  = desc("memory_used_bytes", "Memory in use of the budget of the node.")
	memoryLimit = desc("memory_limit_bytes", "Memory budget of the node.")
	peers       = desc("peers", "Other nodes whose certificates the node has.")
	connections = desc("connections", "Connections with other nodes, by who has dialled.", "direction")

	descs = []*prometheus.Desc{
		streams, streamsCut, streamsMore, handlers, handlerOldest, calls, callOldest,
		queuePackets, queueBytes, queueOldest, neighbors, neighborRoundTrip, neighborSilence,
		waitingPackets, waitingBytes, waitingOldest, memoryUsed, memoryLimit, peers, connections,
	}
)

// desc returns the description of a gauge.
func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(namespace+"_"+name, help, labels, nil)
}

// collector is what NewCollector returns.
type collector struct{ node Node }

// NewCollector returns gauges of what a node knows about itself. Each scrape takes one snapshot.
func NewCollector(node Node) prometheus.Collector {
	return collector{node}
}

// Describe implements prometheus.Collector.
func (collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	snap := c.node.Snapshot()
	g := make(gauges)

	g.add(streamsMore, float64(snap.MoreStreams))
	g.add(memoryUsed, float64(snap.Memory.Used))
	g.add(memoryLimit, float64(snap.Memory.Limit))
	g.add(peers, float64(snap.Peers))
	g.add(connections, float64(snap.Accepted), "accepted")
	g.add(connections, float64(snap.Dialled), "dialled")

	for i := range snap.Calls {
		procedure := label(snap.Calls[i].Procedure)
		g.add(calls, 1, procedure)
		g.max(callOldest, snap.Calls[i].Age, procedure)
	}

	known := make(map[string]struct{})

	for i := range snap.Streams {
		g.stream(&snap.Streams[i])

		for j := range snap.Streams[i].Parents {
			g.neighbor(known, &snap.Streams[i].Parents[j], "parent")
		}

		for j := range snap.Streams[i].Children {
			g.neighbor(known, &snap.Streams[i].Children[j], "child")
		}
	}

	for k, value := range g {
		ch <- prometheus.MustNewConstMetric(k.desc, prometheus.GaugeValue, value, k.labels[:k.n]...)
	}
}

// key is one series: a metric with the first n of the labels.
type key struct {
	desc   *prometheus.Desc
	labels [3]string
	n      int
}

// gauges are the series of one scrape. Streams that agree on the labels share a series.
type gauges map[key]float64

func keyOf(d *prometheus.Desc, labels []string) key {
	k := key{desc: d, n: len(labels)}
	copy(k.labels[:], labels)

	return k
}

// add adds to a sum.
func (g gauges) add(d *prometheus.Desc, value float64, labels ...string) {
	g[keyOf(d, labels)] += value
}

// max keeps the longest duration, in seconds.
func (g gauges) max(d *prometheus.Desc, value time.Duration, labels ...string) {
	k := keyOf(d, labels)
	g[k] = max(g[k], value.Seconds())
}

// stream adds what belongs to a stream and to no neighbour.
func (g gauges) stream(st *host.Stream) {
	procedure := label(st.Procedure)

	g.add(streams, 1, procedure, string(st.Role))

	if st.Handler != "" {
		g.add(handlers, 1, procedure, string(st.Handler))
	}

	if st.Handler == host.HandlerRunning {
		g.max(handlerOldest, st.HandlerSince, procedure)
	}

	cut := 0.0
	if st.Cut {
		cut = 1
	}

	g.add(streamsCut, cut, procedure)
	g.add(queuePackets, float64(st.Queue.Packets), procedure)
	g.add(queueBytes, float64(st.Queue.Bytes), procedure)
	g.max(queueOldest, st.Queue.Oldest, procedure)
}

// neighbor adds a neighbour of one stream.
func (g gauges) neighbor(known map[string]struct{}, n *session.Neighbor, relation string) {
	name := admit(known, label(n.Address))

	g.add(neighbors, 1, name, relation, string(n.State))
	g.add(waitingPackets, float64(n.Waiting.Packets), name, relation)
	g.add(waitingBytes, float64(n.Waiting.Bytes), name, relation)
	g.max(waitingOldest, n.Waiting.Oldest, name, relation)

	// A zero says that nothing is known, and would look like the fastest neighbour.
	if n.RoundTrip > 0 {
		g.max(neighborRoundTrip, n.RoundTrip, name, relation)
	}

	if n.Duplex {
		g.max(neighborSilence, n.Heard, name, relation)
	}
}
