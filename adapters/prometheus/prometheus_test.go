package prometheus_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/adapters/prometheus"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/router/tree"
	"github.com/minogrpc/session/serde"
	"github.com/minogrpc/session/sessiontest"
	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
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

// reader is a handler that reads until its stream ends.
type reader struct{ mino.UnsupportedHandler }

// Stream implements mino.Handler.
func (reader) Stream(_ mino.Sender, in mino.Receiver) error {
	for {
		_, _, err := in.Recv(context.Background())
		if err != nil {
			return err
		}
	}
}

// families are the metrics of one scrape, by name.
type families map[string]*dto.MetricFamily

// scrape reads the metrics as Prometheus does.
func scrape(t *testing.T, registry *client.Registry) families {
	t.Helper()

	w := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).
		ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	require.Equal(t, http.StatusOK, w.Code, w.Body.String())

	parser := expfmt.NewTextParser(model.UTF8Validation)
	all, err := parser.TextToMetricFamilies(w.Body)
	require.NoError(t, err)

	return all
}

// find returns the one series with these labels, given as names and values in turn, or nil.
func (f families) find(name string, labels ...string) *dto.Metric {
next:
	for _, metric := range f[name].GetMetric() {
		has := make(map[string]string)
		for _, pair := range metric.GetLabel() {
			has[pair.GetName()] = pair.GetValue()
		}

		for i := 0; i < len(labels); i += 2 {
			if has[labels[i]] != labels[i+1] {
				continue next
			}
		}

		return metric
	}

	return nil
}

// cluster starts nodes, each with metrics of its own.
func cluster(t *testing.T, n int) (*sessiontest.Nodes, []*client.Registry) {
	t.Helper()

	registries := make([]*client.Registry, n)
	start := func(p sessiontest.Place) (sessiontest.Node, error) {
		meter := prometheus.NewMeter()

		node, err := minogrpc.NewMinogrpc(nil, &url.URL{Scheme: "grpc", Host: p.Host},
			tree.NewRouter(minogrpc.NewAddressFactory()),
			minogrpc.NoTLS(), minogrpc.WithListener(p.Listener),
			minogrpc.WithDialOptions(grpc.WithContextDialer(p.Dial)),
			minogrpc.WithSessionOptions(session.WithObserver(meter.Observer())))
		if err != nil {
			return nil, err
		}

		registries[p.Index] = client.NewRegistry()
		registries[p.Index].MustRegister(meter, prometheus.NewCollector(node))

		return node, nil
	}

	return sessiontest.Cluster(t, n, sessiontest.WithNodes(start), sessiontest.WithRPC("work", reader{}, word(""))),
		registries
}

// leaves returns two players that have no children.
func leaves(t *testing.T, registries []*client.Registry) (first, second int) {
	t.Helper()

	var found []int

	for i, registry := range registries {
		if scrape(t, registry).find("session_neighbors", "relation", "child") == nil {
			found = append(found, i)
		}
	}

	require.GreaterOrEqual(t, len(found), 2)

	return found[0], found[1]
}

// Promise P3: the slow and the frozen player among thirteen stand out in the metrics of their parents, and
// what has been counted is still there when the stream has ended.
func TestMetrics_FindTheSlowAndTheFrozenNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, registries := cluster(t, 13)

		ctx, cancel := context.WithCancel(t.Context())
		out, _, err := c.RPC(0, "work").Stream(ctx, c.Players())
		require.NoError(t, err)

		for err := range out.Send(word("hello"), c.Addresses()...) {
			require.NoError(t, err)
		}

		slow, frozen := leaves(t, registries)
		c.Slow(slow, 300*time.Millisecond)
		time.Sleep(2 * session.DefaultLiveness)
		c.Freeze(frozen)
		out.Send(word("hello"), c.Addresses()...)
		time.Sleep(4 * time.Second)

		requireFound(t, c, registries, slow, frozen)
		requireRoot(t, scrape(t, registries[0]))

		cancel()
		time.Sleep(5 * time.Second)

		after := scrape(t, registries[0])
		require.NotContains(t, after, "session_streams")
		require.NotContains(t, after, "session_neighbors")
		require.InDelta(t, 25, after.find("session_outcomes_total",
			"procedure", "work", "reason", "delivered").GetCounter().GetValue(), 0)
		c.Heal(frozen)
	})
}

// requireFound checks what the parents say of each player but the root.
func requireFound(t *testing.T, c *sessiontest.Nodes, registries []*client.Registry, slow, frozen int) {
	t.Helper()

	scrapes := make([]families, len(registries))
	for i, registry := range registries {
		scrapes[i] = scrape(t, registry)
	}

	for i := 1; i < c.Len(); i++ {
		labels := []string{"neighbor", c.Address(i).String(), "relation", "child"}
		parents := 0

		for _, f := range scrapes {
			silence := f.find("session_neighbor_silence_seconds", labels...)
			if silence == nil {
				continue
			}

			parents++

			bound := (session.DefaultLiveness/3 + 500*time.Millisecond).Seconds()
			require.Equal(t, i == frozen, silence.GetGauge().GetValue() > bound, "silence of %d", i)

			trip := f.find("session_neighbor_last_round_trip_seconds", labels...).GetGauge().GetValue()
			require.Equal(t, i == slow, trip >= 0.3, "round trip of %d: %v", i, trip)

			if i == frozen {
				waits := f.find("session_neighbor_waiting_oldest_seconds", labels...).GetGauge().GetValue()
				require.InDelta(t, 4, waits, 0.001)
			}

			if i == slow {
				trips := f.find("session_round_trip_seconds", labels[:2]...).GetHistogram()
				require.Greater(t, trips.GetSampleSum(), 0.3)
			}
		}

		require.Equal(t, 1, parents, "parents of %d", i)
	}
}

// requireRoot checks the metrics of the node that orchestrates the only stream and is its root.
func requireRoot(t *testing.T, f families) {
	t.Helper()

	for _, role := range []string{"orchestrator", "root"} {
		streams := f.find("session_streams", "procedure", "work", "role", role)
		require.InDelta(t, 1, streams.GetGauge().GetValue(), 0, role)
	}

	delivered := []string{"reason", "delivered"}
	require.InDelta(t, 25, f.find("session_outcomes_total", delivered...).GetCounter().GetValue(), 0)
	require.EqualValues(t, 25, f.find("session_outcome_latency_seconds", delivered...).GetHistogram().GetSampleCount())
	require.InDelta(t, 1, f.find("session_handlers", "state", "running").GetGauge().GetValue(), 0)
	require.InDelta(t, (2*session.DefaultLiveness + 4*time.Second).Seconds(),
		f.find("session_handler_oldest_seconds").GetGauge().GetValue(), 0.001)
	require.Positive(t, f.find("session_packets_sent_total", "procedure", "work").GetCounter().GetValue())
	require.Positive(t, f.find("session_memory_limit_bytes").GetGauge().GetValue())
}
