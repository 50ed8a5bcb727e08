package prometheus

import (
	"sync"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/prometheus/client_golang/prometheus"
)

// maxNeighbors is how many neighbours have labels of their own; see the documentation of the package.
const maxNeighbors = 256

// delivered is the reason of an outcome that is no failure.
const delivered = "delivered"

// latencies and roundTrips are the upper bounds of the buckets, in seconds. An outcome takes as long as the
// destination needs, at most the patience of the sender; a link is lost after ten seconds of silence.
var (
	latencies  = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}
	roundTrips = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
)

// Meter counts what the sessions of a node do. It is a [prometheus.Collector]. What it has counted stays
// when a stream ends. All methods may be called from several goroutines at once.
type Meter struct {
	latency   *prometheus.HistogramVec
	roundTrip *prometheus.HistogramVec

	outcomes, dropped         *prometheus.CounterVec
	links, losses             *prometheus.CounterVec
	sent, sentBytes           *prometheus.CounterVec
	received, receivedBytes   *prometheus.CounterVec
	queued, refused, rejected *prometheus.CounterVec

	mu sync.Mutex
	// neighbors has the label of each neighbour that has one of its own. It never shrinks: a label that
	// went to another neighbour would make a series go down.
	neighbors map[string]struct{}
}

// NewMeter returns a meter that has counted nothing.
func NewMeter() *Meter {
	return &Meter{
		latency: histogram("outcome_latency_seconds",
			"Time from Send to the outcome of one destination.", latencies, "reason"),
		roundTrip: histogram("round_trip_seconds",
			"Round trip of duplex links, measured every few seconds.", roundTrips, "neighbor"),
		outcomes: counter("outcomes_total",
			"Destinations of the messages of this node, by what became of them.", "procedure", "reason"),
		dropped: counter("destinations_dropped_total",
			"Destinations that this node reported as not reached.", "procedure", "reason", "known"),
		links: counter("link_events_total",
			"Changes of the links to neighbours.", "procedure", "state"),
		losses: counter("losses_total",
			"Nodes of streams that were lost.", "procedure", "known"),
		sent:          counter("packets_sent_total", "Packets handed to neighbours.", "procedure"),
		sentBytes:     counter("sent_bytes_total", "Messages in packets handed to neighbours.", "procedure"),
		received:      counter("packets_received_total", "Packets that came from neighbours.", "procedure"),
		receivedBytes: counter("received_bytes_total", "Messages in packets from neighbours.", "procedure"),
		queued:        counter("packets_delivered_total", "Packets put into the queue of this node.", "procedure"),
		refused:       counter("packets_refused_total", "Packets refused for their provenance.", "procedure"),
		rejected:      counter("messages_rejected_total", "Messages that could not be decoded.", "procedure"),
		neighbors:     make(map[string]struct{}),
	}
}

// all returns the parts of the meter.
func (m *Meter) all() []prometheus.Collector {
	return []prometheus.Collector{
		m.latency, m.roundTrip, m.outcomes, m.dropped, m.links, m.losses, m.sent, m.sentBytes,
		m.received, m.receivedBytes, m.queued, m.refused, m.rejected,
	}
}

// Describe implements prometheus.Collector.
func (m *Meter) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.all() {
		c.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (m *Meter) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.all() {
		c.Collect(ch)
	}
}

// Observer returns the functions that feed the meter, for [session.WithObserver]. They only count, and do
// not keep what they get.
func (m *Meter) Observer() session.Observer {
	observer := session.Observer{
		RoundTrip: func(_ session.StreamInfo, peer mino.Address, d time.Duration) {
			m.roundTrip.WithLabelValues(m.neighbor(peer)).Observe(d.Seconds())
		},
		OutcomeKnown: func(stream session.StreamInfo, outcome session.Outcome) {
			reason := reasonOf(outcome.Err)
			m.outcomes.WithLabelValues(label(stream.Procedure), reason).Inc()
			m.latency.WithLabelValues(reason).Observe(outcome.Latency.Seconds())
		},
		PacketDropped: func(stream session.StreamInfo, err *session.DeliveryError) {
			noticed := err.Hop != nil && stream.Node != nil && err.Hop.Equal(stream.Node)
			m.dropped.WithLabelValues(label(stream.Procedure), reasonOf(err), known(noticed)).Inc()
		},
		MessageRejected: func(stream session.StreamInfo, _ *session.MessageError) {
			m.rejected.WithLabelValues(label(stream.Procedure)).Inc()
		},
	}

	m.observePackets(&observer)
	m.observeLinks(&observer)

	return observer
}

// observePackets adds the functions that count packets.
func (m *Meter) observePackets(observer *session.Observer) {
	observer.PacketSent = func(stream session.StreamInfo, _ mino.Address, info session.PacketInfo) {
		procedure := label(stream.Procedure)
		m.sent.WithLabelValues(procedure).Inc()
		m.sentBytes.WithLabelValues(procedure).Add(float64(info.Bytes))
	}
	observer.PacketReceived = func(stream session.StreamInfo, _ mino.Address, info session.PacketInfo) {
		procedure := label(stream.Procedure)
		m.received.WithLabelValues(procedure).Inc()
		m.receivedBytes.WithLabelValues(procedure).Add(float64(info.Bytes))
	}
	observer.PacketDelivered = func(stream session.StreamInfo, _ session.PacketInfo) {
		m.queued.WithLabelValues(label(stream.Procedure)).Inc()
	}
	observer.PacketRefused = func(stream session.StreamInfo, _ mino.Address, _ error) {
		m.refused.WithLabelValues(label(stream.Procedure)).Inc()
	}
}

// observeLinks adds the functions that count what happens to links.
func (m *Meter) observeLinks(observer *session.Observer) {
	count := func(stream session.StreamInfo, state string) {
		m.links.WithLabelValues(label(stream.Procedure), state).Inc()
	}

	observer.RelayOpened = func(s session.StreamInfo, _ mino.Address) { count(s, "opened") }
	observer.RelayBroken = func(s session.StreamInfo, _ mino.Address, _ error) { count(s, "broken") }
	observer.RelayResumed = func(s session.StreamInfo, _ mino.Address) { count(s, "resumed") }
	observer.RelayLost = func(s session.StreamInfo, _ mino.Address, _ error) { count(s, "lost") }
	observer.LossKnown = func(s session.StreamInfo, loss session.Loss) {
		m.losses.WithLabelValues(label(s.Procedure), known(loss.IsNoticed())).Inc()
	}
	observer.RelayClosed = func(s session.StreamInfo, _ mino.Address) { count(s, "closed") }
}

// known returns how this node knows of a loss or a failure.
func known(noticed bool) string {
	if noticed {
		return "noticed"
	}

	return "heard"
}

// neighbor returns the label of a neighbour.
func (m *Meter) neighbor(addr mino.Address) string {
	name := label(addr.String())

	m.mu.Lock()
	defer m.mu.Unlock()

	return admit(m.neighbors, name)
}

// reasonOf returns the label of an outcome. Only the reasons of the library become labels.
func reasonOf(err *session.DeliveryError) string {
	if err == nil {
		return delivered
	}

	switch err.Reason {
	case session.ReasonNoRoute:
		return "no_route"
	case session.ReasonUnreachable:
		return "unreachable"
	case session.ReasonOverflow:
		return "overflow"
	case session.ReasonTimeout:
		return "timeout"
	case session.ReasonClosed:
		return "closed"
	case session.ReasonRejected:
		return "rejected"
	default:
		return "unknown"
	}
}

// counter returns counters with these labels.
func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

// histogram returns histograms with these labels.
func histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: name, Help: help, Buckets: buckets,
	}, labels)
}
