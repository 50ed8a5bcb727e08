package otel

import (
	"context"
	"sync"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// latencies and roundTrips are the upper bounds of the buckets, in seconds. An outcome takes as long as the
// destination needs, at most the patience of the sender; a link is lost after ten seconds of silence.
var (
	latencies  = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}
	roundTrips = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
)

// metrics are the instruments of a telemetry.
type metrics struct {
	config

	outcomes, consumed                        metric.Int64Counter
	sent, sentSize, received, receivedSize    metric.Int64Counter
	refused, rejected, dropped, links, losses metric.Int64Counter
	latency, roundTrip                        metric.Float64Histogram

	mu sync.Mutex
	// procedures has the attributes of each procedure, and neighbors those of the neighbours with a series of
	// their own. Both only grow: a node has few procedures, and there is a bound of neighbours.
	procedures map[string]*series
	neighbors  map[string]metric.MeasurementOption
}

// series are the attributes of one procedure.
type series struct {
	base, consumed metric.MeasurementOption
	// delivered and failed are those of an outcome, and dropped those of a failure that this node reports, by
	// their reason.
	delivered       metric.MeasurementOption
	failed, dropped [len(reasons)]metric.MeasurementOption
	// noticed and heard are those of a loss.
	noticed, heard metric.MeasurementOption
	// links are those of what happens to a link.
	links map[string]metric.MeasurementOption
}

// newMetrics makes the instruments.
func newMetrics(meter metric.Meter, c config) (*metrics, error) {
	mk := maker{meter: meter}
	m := &metrics{
		config: c,
		outcomes: mk.counter("messaging.client.sent.messages", "{message}",
			"Destinations of the messages of this node, when their outcome is known."),
		consumed: mk.counter("messaging.client.consumed.messages", "{message}",
			"Packets that were put into the queue of this node."),
		latency: mk.histogram("messaging.client.operation.duration",
			"Time from Send to the outcome of one destination.", latencies),
		roundTrip: mk.histogram("minogrpc.link.round_trip", "Round trip of duplex links.", roundTrips),
		sent:      mk.counter("minogrpc.packet.sent", "{packet}", "Packets handed to neighbours."),
		sentSize:  mk.counter("minogrpc.packet.sent.size", "By", "Messages in packets handed to neighbours."),
		received:  mk.counter("minogrpc.packet.received", "{packet}", "Packets that came from neighbours."),
		receivedSize: mk.counter("minogrpc.packet.received.size", "By",
			"Messages in packets from neighbours."),
		refused:  mk.counter("minogrpc.packet.refused", "{packet}", "Packets refused for their provenance."),
		rejected: mk.counter("minogrpc.message.rejected", "{message}", "Messages that could not be decoded."),
		dropped: mk.counter("minogrpc.destination.dropped", "{destination}",
			"Destinations that this node reported as not reached."),
		links:      mk.counter("minogrpc.link.events", "{event}", "Changes of the links to neighbours."),
		losses:     mk.counter("minogrpc.node.losses", "{node}", "Nodes of streams that were lost."),
		procedures: make(map[string]*series),
		neighbors:  make(map[string]metric.MeasurementOption),
	}

	return m, mk.err()
}

// linkEvents are what happens to links.
var linkEvents = []string{"opened", "broken", "resumed", "lost", "closed"}

// of returns the attributes of the procedure of a stream.
func (m *metrics) of(stream session.StreamInfo) *series {
	m.mu.Lock()
	defer m.mu.Unlock()

	s := m.procedures[stream.Procedure]
	if s != nil {
		return s
	}

	procedure := keyProcedure.String(text(stream.Procedure))
	messaging := func(operation string, more ...attribute.KeyValue) metric.MeasurementOption {
		return m.with(append(more, keySystem.String(system), keyOperation.String(operation),
			keyDestination.String(text(stream.Procedure)))...)
	}

	s = &series{
		base: m.with(procedure), consumed: messaging(operationTaken), delivered: messaging(operationSend),
		noticed: m.with(procedure, keyKnown.String("noticed")), heard: m.with(procedure, keyKnown.String("heard")),
		links: make(map[string]metric.MeasurementOption),
	}

	for i, reason := range reasons {
		s.failed[i] = messaging(operationSend, keyError.String(reason))
		s.dropped[i] = m.with(procedure, keyError.String(reason))
	}

	for _, event := range linkEvents {
		s.links[event] = m.with(procedure, keyLinkEvent.String(event))
	}

	m.procedures[stream.Procedure] = s

	return s
}

// neighbor returns the attributes of a neighbour.
func (m *metrics) neighbor(addr mino.Address) metric.MeasurementOption {
	name := ""
	if m.config.neighbors {
		name = textOf(addr)
	}

	m.mu.Lock()
	defer m.mu.Unlock()

	if option, ok := m.neighbors[name]; ok {
		return option
	}

	// Where there is no room for another neighbour, all further ones share an entry.
	if len(m.neighbors) >= maxNeighbors {
		name = others
	}

	option := m.with()
	if name != "" {
		option = m.with(keyNeighbor.String(name))
	}

	m.neighbors[name] = option

	return option
}

// observer returns the functions that count. They do not keep what they get.
func (m *metrics) observer() session.Observer {
	observer := session.Observer{
		RoundTrip: func(_ session.StreamInfo, peer mino.Address, d time.Duration) {
			m.roundTrip.Record(context.Background(), d.Seconds(), m.neighbor(peer))
		},
		OutcomeKnown: func(stream session.StreamInfo, outcome session.Outcome) {
			attrs := m.of(stream).delivered
			if outcome.Err != nil {
				attrs = m.of(stream).failed[indexOf(outcome.Err)]
			}

			m.outcomes.Add(context.Background(), 1, attrs)
			m.latency.Record(context.Background(), outcome.Latency.Seconds(), attrs)
		},
		PacketDropped: func(stream session.StreamInfo, err *session.DeliveryError) {
			m.dropped.Add(context.Background(), 1, m.of(stream).dropped[indexOf(err)])
		},
		MessageRejected: func(stream session.StreamInfo, _ *session.MessageError) {
			m.rejected.Add(context.Background(), 1, m.of(stream).base)
		},
	}

	m.observePackets(&observer)
	m.observeLinks(&observer)

	return observer
}

// observePackets adds the functions that count packets.
func (m *metrics) observePackets(observer *session.Observer) {
	observer.PacketSent = func(stream session.StreamInfo, _ mino.Address, info session.PacketInfo) {
		attrs := m.of(stream).base
		m.sent.Add(context.Background(), 1, attrs)
		m.sentSize.Add(context.Background(), int64(info.Bytes), attrs)
	}
	observer.PacketReceived = func(stream session.StreamInfo, _ mino.Address, info session.PacketInfo) {
		attrs := m.of(stream).base
		m.received.Add(context.Background(), 1, attrs)
		m.receivedSize.Add(context.Background(), int64(info.Bytes), attrs)
	}
	observer.PacketDelivered = func(stream session.StreamInfo, _ session.PacketInfo) {
		m.consumed.Add(context.Background(), 1, m.of(stream).consumed)
	}
	observer.PacketRefused = func(stream session.StreamInfo, _ mino.Address, _ error) {
		m.refused.Add(context.Background(), 1, m.of(stream).base)
	}
}

// observeLinks adds the functions that count what happens to links.
func (m *metrics) observeLinks(observer *session.Observer) {
	count := func(stream session.StreamInfo, event string) {
		m.links.Add(context.Background(), 1, m.of(stream).links[event])
	}

	observer.RelayOpened = func(s session.StreamInfo, _ mino.Address) { count(s, "opened") }
	observer.RelayBroken = func(s session.StreamInfo, _ mino.Address, _ error) { count(s, "broken") }
	observer.RelayResumed = func(s session.StreamInfo, _ mino.Address) { count(s, "resumed") }
	observer.RelayLost = func(s session.StreamInfo, _ mino.Address, _ error) { count(s, "lost") }
	observer.LossKnown = func(s session.StreamInfo, loss session.Loss) {
		attrs := m.of(s).heard
		if loss.IsNoticed() {
			attrs = m.of(s).noticed
		}

		m.losses.Add(context.Background(), 1, attrs)
	}
	observer.RelayClosed = func(s session.StreamInfo, _ mino.Address) { count(s, "closed") }
}
