// Package otel follows messages and measures nodes with OpenTelemetry.
//
//	telemetry, err := otel.New(otel.WithTracerProvider(tracers), otel.WithMeterProvider(meters))
//	...
//	node, err := minogrpc.NewMinogrpc(listen, public, router,
//		minogrpc.WithSessionOptions(telemetry.Options()...))
//	...
//	registration, err := telemetry.Watch(node)
//
// Without these options New takes the global providers.
//
// # Traces
//
// Each Send of a traced node is a span, and each node of this kind that the message reaches adds one:
//
//   - "send PROCEDURE", of kind producer, lasts from Send until the outcomes of all destinations are known.
//   - "process PROCEDURE", of kind consumer, is a hop. It lasts from the arrival of the packet at a node until that
//     node knows the outcomes of all destinations of the packet, so with those that the node passes it on to. Its
//     parent is the span of the node that the packet came from: the spans of a message form the part of the tree that
//     it took. A message that is sent again after the loss of a neighbour may have two spans at a node.
//
// Either span ends with the outcome. If a destination was not reached, the status is an error, error.type has the
// reason of the last failure, and the span has an event for each of the first 16 such destinations.
//
// The parent of a send span is the span in the context of the message: [mino.InContext] sends in a context. The
// messages of an orchestrator without a context of their own are sent in that of Stream. Any other message begins a
// trace.
//
//	func (h handler) StreamContext(ctx context.Context, out mino.Sender, in mino.Receiver) error {
//		ctx, span := tracer.Start(ctx, "work")
//		defer span.End()
//
//		<-mino.InContext(ctx, out).Send(answer, orchestrator)
//
// The W3C trace context travels with the packet, and is no part of the message. The wire format documents it. A trace
// state that would make it longer than [session.MaxTrace] bytes is left out. Baggage does not travel.
//
// A node of this library without a tracer passes the context on: it has no span, and the spans of the nodes behind
// it are children of the one before it. An existing node does not know the context. Messages that pass it are not
// traced behind it, so that their traces end there; the span of the node before it still tells the outcomes. A node
// begins no span for a packet without a context.
//
// Another node decides what is in the context, and whether the trace is sampled. What is malformed is ignored. To
// bound what others can make a node export, give its tracer provider a sampler that decides itself for remote
// parents, as trace.ParentBased does with trace.WithRemoteParentSampled.
//
// # Attributes of spans
//
//   - messaging.system: "minogrpc".
//   - messaging.operation.name, messaging.operation.type: "send", or "process" for a hop.
//   - messaging.destination.name: the URI of the procedure.
//   - messaging.message.conversation_id: the id of the stream.
//   - messaging.message.body.size: the size of the message in bytes.
//   - messaging.batch.message_count: how many destinations the packet has, if there are several.
//   - minogrpc.node, minogrpc.source: the addresses of this node and of the sender.
//   - minogrpc.neighbor: for a hop, the neighbour that the packet came from.
//   - minogrpc.protocol: the tag of the stream, if it has one.
//   - minogrpc.destinations.failed: how many destinations were not reached, if any.
//
// An event "minogrpc.undelivered" has minogrpc.destination, error.type, minogrpc.hop (the node that gave up) and
// error.message. Other nodes write some of these. Each text has at most 256 bytes, and is always UTF-8.
//
// # Metrics
//
// Those of the semantic conventions:
//
//   - messaging.client.sent.messages ({message}): destinations of the messages of this node, one each, when the
//     outcome is known. A failure has error.type.
//   - messaging.client.operation.duration (s): histogram of the time from Send to the outcome of one destination.
//   - messaging.client.consumed.messages ({message}): packets that were put into the queue of this node.
//
// They have messaging.system, messaging.operation.name ("send" or "receive") and messaging.destination.name, the URI
// of the procedure. All others have the attribute minogrpc.procedure, unless something else is said:
//
//   - minogrpc.packet.sent ({packet}), minogrpc.packet.received ({packet}): packets to and from neighbours.
//   - minogrpc.packet.sent.size (By), minogrpc.packet.received.size (By): the messages in these packets.
//   - minogrpc.packet.refused ({packet}): packets that were refused for their provenance.
//   - minogrpc.message.rejected ({message}): messages that could not be decoded, or never became complete.
//   - minogrpc.destination.dropped ({destination}, error.type): destinations that this node reported as not reached,
//     to its own application or to the neighbour that sent the packet.
//   - minogrpc.link.events ({event}, minogrpc.link.event): how often a link to a neighbour was opened, broken,
//     resumed, lost and closed.
//   - minogrpc.node.losses ({node}, minogrpc.loss.known): nodes of streams that were lost. Over all nodes, those that
//     are "noticed" are the losses; the others were "heard" of.
//   - minogrpc.link.round_trip (s): histogram of the round trips of duplex links. It has no procedure.
//
// [Telemetry.Watch] adds what a node knows about itself at the moment of a collection:
//
//   - minogrpc.stream.active ({stream}, minogrpc.stream.role): streams in which the node is orchestrator, root or
//     player.
//   - minogrpc.handler.active ({handler}): handlers of streams and calls that run.
//   - minogrpc.queue.packets ({packet}), minogrpc.queue.size (By): what waits for the handlers.
//   - minogrpc.link.active ({link}, minogrpc.link.state): links to neighbours, without a procedure.
//   - minogrpc.link.waiting ({packet}): packets for neighbours without an outcome, without a procedure.
//   - minogrpc.memory.usage (By), minogrpc.memory.limit (By): the memory budget, without a procedure.
//
// The number of series is bounded: none has the id of a stream, and none has an address, unless [WithNeighbors] asks
// for that. Then the attribute minogrpc.neighbor has the address of each of the first 256 neighbours, and "other" for
// all further ones.
package otel
