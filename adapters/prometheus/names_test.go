package prometheus_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/adapters/prometheus"
	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/minogrpc"
	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
)

// node is a node whose snapshot the test has made.
type node func() minogrpc.Snapshot

// Snapshot implements prometheus.Node.
func (n node) Snapshot() minogrpc.Snapshot { return n() }

// always returns a node with that snapshot.
func always(snap minogrpc.Snapshot) node {
	return func() minogrpc.Snapshot { return snap }
}

// streamWith returns a stream with these children.
func streamWith(children ...session.Neighbor) host.Stream {
	return host.Stream{
		Snapshot: session.Snapshot{Procedure: "work", Children: children},
		Role:     host.StreamRoot, Handler: host.HandlerRunning, HandlerSince: time.Second,
	}
}

// child returns a child with a round trip.
func child(addr string, trip time.Duration) session.Neighbor {
	return session.Neighbor{Address: addr, State: session.NeighborOpen, Duplex: true, RoundTrip: trip}
}

// everything returns a registry in which each metric has a series.
func everything() *client.Registry {
	meter := prometheus.NewMeter()
	observer, addr := meter.Observer(), session.NewAddress("grpc://a:1")
	stream := session.StreamInfo{Node: addr, Procedure: "work", Stream: "id"}
	failed := &session.DeliveryError{
		Destination: addr, Reason: session.ReasonNoRoute, Hop: addr, Cause: errors.New("no"),
	}

	observer.RelayOpened(stream, addr)
	observer.RelayBroken(stream, addr, failed)
	observer.RelayResumed(stream, addr)
	observer.RelayLost(stream, addr, failed)
	observer.LossKnown(stream, session.Loss{Node: addr})
	observer.RelayClosed(stream, addr)
	observer.RoundTrip(stream, addr, time.Second)
	observer.PacketSent(stream, addr, session.PacketInfo{Bytes: 3})
	observer.PacketReceived(stream, addr, session.PacketInfo{Bytes: 4})
	observer.PacketDelivered(stream, session.PacketInfo{})
	observer.PacketDropped(stream, failed)
	observer.OutcomeKnown(stream, session.Outcome{Destination: addr, Err: failed, Latency: time.Second})
	observer.PacketRefused(stream, addr, failed)
	observer.MessageRejected(stream, &session.MessageError{})

	snap := minogrpc.Snapshot{}
	snap.Streams = []host.Stream{streamWith(child("grpc://b:1", time.Second))}
	snap.Calls = []host.RunningCall{{Procedure: "ask", Age: time.Second}}

	registry := client.NewPedanticRegistry()
	registry.MustRegister(meter, prometheus.NewCollector(always(snap)))

	return registry
}

// of returns a registry with the gauges of one snapshot.
func of(streams ...host.Stream) *client.Registry {
	snap := minogrpc.Snapshot{}
	snap.Streams = streams

	registry := client.NewPedanticRegistry()
	registry.MustRegister(prometheus.NewCollector(always(snap)))

	return registry
}

// Promise P3: a loss or a failure that this node has noticed counts apart from one that it has heard of.
func TestMeter_CountsNoticedAndHeardApart(t *testing.T) {
	meter := prometheus.NewMeter()
	observer, me, other := meter.Observer(), session.NewAddress("grpc://a:1"), session.NewAddress("grpc://b:1")
	stream := session.StreamInfo{Node: me, Procedure: "work", Stream: "id"}

	observer.LossKnown(stream, session.Loss{Node: other})

	for range 2 {
		observer.LossKnown(stream, session.Loss{Node: other, From: other})
		observer.PacketDropped(stream, &session.DeliveryError{Reason: session.ReasonNoRoute, Hop: me})
	}

	observer.PacketDropped(stream, &session.DeliveryError{Reason: session.ReasonNoRoute, Hop: other})

	registry := client.NewPedanticRegistry()
	registry.MustRegister(meter)

	all := scrape(t, registry)
	for name, noticed := range map[string]float64{
		"session_losses_total": 1, "session_destinations_dropped_total": 2,
	} {
		require.InDelta(t, noticed, all.find(name, "known", "noticed").GetCounter().GetValue(), 0, name)
		require.InDelta(t, 3-noticed, all.find(name, "known", "heard").GetCounter().GetValue(), 0, name)
	}
}

func TestNames_FollowTheConventions(t *testing.T) {
	problems, err := testutil.GatherAndLint(everything())
	require.NoError(t, err)
	require.Empty(t, problems)
}

// The documentation and the code have the same metrics, and no label has the id of a stream.
func TestNames_AreDocumented(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	require.NoError(t, err)

	documented := make(map[string]bool)
	for _, name := range regexp.MustCompile(`\bsession_[a-z_]+`).FindAllString(string(doc), -1) {
		documented[name] = true
	}

	all := scrape(t, everything())
	for name := range all {
		require.True(t, documented[name], "%s is not documented", name)

		for _, metric := range all[name].GetMetric() {
			for _, label := range metric.GetLabel() {
				require.NotEqual(t, "id", label.GetValue(), "%s has the id of a stream", name)
			}
		}
	}

	require.Len(t, all, len(documented), "the documentation has more")
}

// dashboard is what the tests read of dashboard.json.
type dashboard struct {
	Title      string `json:"title"`
	Templating struct {
		List []struct {
			Query string `json:"query"`
		} `json:"list"`
	} `json:"templating"`
	Panels []struct {
		Title   string `json:"title"`
		Targets []struct {
			Expr string `json:"expr"`
		} `json:"targets"`
	} `json:"panels"`
}

func TestDashboard_QueriesMetricsThatExist(t *testing.T) {
	data, err := os.ReadFile("dashboard.json")
	require.NoError(t, err)

	var board dashboard

	require.NoError(t, json.Unmarshal(data, &board))
	require.NotEmpty(t, board.Title)
	require.NotEmpty(t, board.Panels)

	all := scrape(t, everything())
	check := func(where, query string) {
		names := regexp.MustCompile(`\bsession_[a-z_]+`).FindAllString(query, -1)
		require.NotEmpty(t, names, where)

		for _, name := range names {
			require.Contains(t, all, strings.TrimSuffix(name, "_bucket"), where)
		}
	}

	for _, panel := range board.Panels {
		require.NotEmpty(t, panel.Targets, panel.Title)

		for _, target := range panel.Targets {
			check(panel.Title, target.Expr)
		}
	}

	require.Len(t, board.Templating.List, 2)
	check("instance", board.Templating.List[1].Query)
}

// Two streams with the same neighbour make one series: the worst duration, and the sum of the rest.
func TestCollector_AddsUpStreams(t *testing.T) {
	near, far := child("grpc://a:1", time.Second), child("grpc://a:1", 3*time.Second)
	near.Waiting = session.Backlog{Packets: 2, Bytes: 20}
	far.Waiting = session.Backlog{Packets: 3, Bytes: 30, Oldest: time.Second}

	f := scrape(t, of(streamWith(far), streamWith(near)))
	for name, want := range map[string]float64{
		"session_streams": 2, "session_neighbors": 2, "session_neighbor_last_round_trip_seconds": 3,
		"session_neighbor_waiting_packets": 5, "session_neighbor_waiting_bytes": 50,
		"session_neighbor_waiting_oldest_seconds": 1,
	} {
		require.Len(t, f[name].GetMetric(), 1, name)
		require.InDelta(t, want, f[name].GetMetric()[0].GetGauge().GetValue(), 0, name)
	}
}

func TestLabels_AreBounded(t *testing.T) {
	meter := prometheus.NewMeter()
	roundTrip := meter.Observer().RoundTrip
	many := make([]session.Neighbor, 300)

	for i := range many {
		many[i] = child(fmt.Sprintf("grpc://n%d:1", i), time.Second)
		roundTrip(session.StreamInfo{}, session.NewAddress(many[i].Address), time.Second)
	}

	registry := of(streamWith(many[:200]...), streamWith(many[200:]...))
	registry.MustRegister(meter)

	f := scrape(t, registry)
	require.Len(t, f["session_neighbors"].GetMetric(), 257)
	require.InDelta(t, 44, f.find("session_neighbors", "neighbor", "other").GetGauge().GetValue(), 0)
	require.Len(t, f["session_round_trip_seconds"].GetMetric(), 257)
	require.EqualValues(t, 44,
		f.find("session_round_trip_seconds", "neighbor", "other").GetHistogram().GetSampleCount())
}

// Other nodes choose their addresses, and must not be able to break a scrape.
func TestLabels_AreAlwaysValid(t *testing.T) {
	hostile := "grpc://\xff\"\n" + strings.Repeat("\u00e9", 500)

	f := scrape(t, of(streamWith(child(hostile, 0), child("grpc://b:1", 0))))
	require.Len(t, f["session_neighbors"].GetMetric(), 2)

	meter := prometheus.NewMeter()
	meter.Observer().RoundTrip(session.StreamInfo{}, session.NewAddress(hostile), time.Second)
	meter.Observer().PacketSent(session.StreamInfo{Procedure: hostile}, nil, session.PacketInfo{})

	registry := client.NewPedanticRegistry()
	registry.MustRegister(meter)
	require.Len(t, scrape(t, registry)["session_round_trip_seconds"].GetMetric(), 1)
}
