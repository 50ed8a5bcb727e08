// Package prometheus makes metrics for Prometheus of what a node does and knows.
//
//	meter := prometheus.NewMeter()
//	node, err := minogrpc.NewMinogrpc(listen, public, router,
//		minogrpc.WithSessionOptions(session.WithObserver(meter.Observer())))
//	...
//	registry.MustRegister(meter, prometheus.NewCollector(node))
//
// A [Meter] counts, and what it has counted never goes down: its counters and histograms outlive the
// streams. [NewCollector] has the gauges, which describe the streams that are there at the moment of the
// scrape. Each of the two works without the other. Several nodes in one process need a meter, a collector
// and a label each: register them with prometheus.WrapRegistererWith of the client library.
//
// A dashboard for Grafana is in dashboard.json.
//
// # Labels
//
// The number of series is bounded. No label has the id of a stream. The labels are
//
//   - procedure: the URI of the procedure;
//   - neighbor: the address of a parent or a child. The first 256 neighbours of a meter have labels of their
//     own, and so do the first 256 of each scrape of a collector, the oldest streams first. All others share
//     the label "other";
//   - relation: "parent" or "child";
//   - reason: "delivered", "no_route", "unreachable", "overflow", "timeout", "closed" or "rejected"; "unknown" is
//     there for a reason that is added to the library later;
//   - known: "noticed" by this node, or "heard" from another node;
//   - role, state and direction: a few words each, see below.
//
// Other nodes choose their addresses. A label has at most 256 bytes and is always UTF-8.
//
// # Metrics of a meter
//
//   - session_outcome_latency_seconds (reason): histogram of the time from Send to the outcome of one destination.
//   - session_outcomes_total (procedure, reason): the same outcomes, by procedure. They are those of the messages
//     that this node has sent.
//   - session_round_trip_seconds (neighbor): histogram of the round trips of duplex links, with what the
//     packets waited on the way. By default each link measures every ten seconds.
//   - session_destinations_dropped_total (procedure, reason, known): destinations that this node reported as not
//     reached, to its own application or to the neighbour that sent the packet.
//   - session_losses_total (procedure, known): nodes of streams that were lost. Over all nodes, those that are
//     "noticed" are the losses.
//   - session_link_events_total (procedure, state): how often a link to a neighbour was opened, broken, resumed, lost
//     and closed.
//   - session_packets_sent_total, session_packets_received_total (procedure): packets to and from neighbours.
//   - session_sent_bytes_total, session_received_bytes_total (procedure): the messages in these packets.
//   - session_packets_delivered_total (procedure): packets that were put into the queue of this node.
//   - session_packets_refused_total (procedure): packets that were refused for their provenance.
//   - session_messages_rejected_total (procedure): messages that could not be decoded, or never became complete.
//
// A series begins when the first thing is counted.
//
// # Gauges of a collector
//
// Streams:
//
//   - session_streams (procedure, role): streams in which the node is orchestrator, root or player. A node that
//     orchestrates a stream and is a player in it counts twice.
//   - session_streams_cut (procedure): those of them in which no parent has a way up.
//   - session_streams_omitted: streams beyond the 1,000 oldest. The other gauges leave them out.
//   - session_handlers (procedure, state): handlers of streams that are waiting, running or ended.
//   - session_handler_oldest_seconds (procedure): for how long the oldest running handler of a stream runs.
//   - session_calls (procedure), session_call_oldest_seconds (procedure): handlers of calls that run, and for how long
//     the oldest does.
//   - session_queue_packets, session_queue_bytes (procedure): what waits for the handlers.
//   - session_queue_oldest_seconds (procedure): for how long the oldest of these packets has been at the node.
//
// Neighbours, over all streams:
//
//   - session_neighbors (neighbor, relation, state): links to the neighbour, one for each stream, that are connecting,
//     open, suspect, broken, lost or closing.
//   - session_neighbor_last_round_trip_seconds (neighbor, relation): the longest of the last round trips. A slow
//     neighbour has a long one. It is absent while none is known.
//   - session_neighbor_silence_seconds (neighbor, relation): time since the last sign of life over a duplex link, the
//     longest of all streams. A frozen neighbour has one above a third of the bound for silence.
//   - session_neighbor_waiting_packets, session_neighbor_waiting_bytes (neighbor, relation): packets for the neighbour
//     without an outcome.
//   - session_neighbor_waiting_oldest_seconds (neighbor, relation): for how long the oldest of them has waited.
//
// The node:
//
//   - session_memory_used_bytes, session_memory_limit_bytes: the memory budget.
//   - session_peers: other nodes whose certificates the node has.
//   - session_connections (direction): connections that the node has "accepted" and "dialled".
package prometheus
