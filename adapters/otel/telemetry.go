package otel

import (
	"errors"
	"slices"

	"github.com/minogrpc/session"
	api "go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// scope names this package to the providers.
const scope = "github.com/minogrpc/session/adapters/otel"

// Telemetry measures what the sessions of a node do, and follows their messages. All methods may be called from
// several goroutines at once.
type Telemetry struct {
	tracer  trace.Tracer
	meter   metric.Meter
	metrics *metrics
}

// Option changes a default of [New].
type Option interface {
	apply(c *config)
}

type config struct {
	tracers   trace.TracerProvider
	meters    metric.MeterProvider
	common    []attribute.KeyValue
	neighbors bool
}

type optionFunc func(*config)

func (f optionFunc) apply(c *config) { f(c) }

// WithTracerProvider sets where the spans go. By default, and with nil, that is the global provider.
func WithTracerProvider(tracers trace.TracerProvider) Option {
	return optionFunc(func(c *config) {
		if tracers != nil {
			c.tracers = tracers
		}
	})
}

// WithMeterProvider sets where the metrics go. By default, and with nil, that is the global provider.
func WithMeterProvider(meters metric.MeterProvider) Option {
	return optionFunc(func(c *config) {
		if meters != nil {
			c.meters = meters
		}
	})
}

// WithAttributes adds attributes to each metric. Several nodes of one process need them, to tell one from the
// other.
func WithAttributes(attrs ...attribute.KeyValue) Option {
	return optionFunc(func(c *config) { c.common = append(c.common, attrs...) })
}

// WithNeighbors adds the addresses of the neighbours to the metrics of links. The first 256 have a series of
// their own.
func WithNeighbors() Option {
	return optionFunc(func(c *config) { c.neighbors = true })
}

// New returns a telemetry. It fails if the meter provider refuses an instrument.
func New(opts ...Option) (*Telemetry, error) {
	c := config{tracers: api.GetTracerProvider(), meters: api.GetMeterProvider()}
	for _, opt := range opts {
		opt.apply(&c)
	}

	t := &Telemetry{tracer: c.tracers.Tracer(scope), meter: c.meters.Meter(scope)}

	var err error

	t.metrics, err = newMetrics(t.meter, c)
	if err != nil {
		return nil, err
	}

	return t, nil
}

// Options returns what the sessions of a node need: both [Telemetry.Tracer] and [Telemetry.Observer].
func (t *Telemetry) Options() []session.Option {
	return []session.Option{session.WithTracer(t.Tracer()), session.WithObserver(t.Observer())}
}

// Tracer returns what follows messages, for [session.WithTracer].
func (t *Telemetry) Tracer() session.Tracer {
	return tracer{t.tracer}
}

// Observer returns the functions that feed the metrics, for [session.WithObserver].
func (t *Telemetry) Observer() session.Observer {
	return t.metrics.observer()
}

// with returns the attributes of a series, with those that all have.
func (c *config) with(attrs ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(append(slices.Clip(c.common), attrs...)...))
}

// maker makes instruments, and collects the errors.
type maker struct {
	meter metric.Meter
	errs  []error
}

func (m *maker) counter(name, unit, description string) metric.Int64Counter {
	c, err := m.meter.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(description))
	m.errs = append(m.errs, err)

	return c
}

func (m *maker) histogram(name, description string, bounds []float64) metric.Float64Histogram {
	h, err := m.meter.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(description),
		metric.WithExplicitBucketBoundaries(bounds...))
	m.errs = append(m.errs, err)

	return h
}

func (m *maker) gauge(name, unit, description string) metric.Int64ObservableUpDownCounter {
	g, err := m.meter.Int64ObservableUpDownCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
	m.errs = append(m.errs, err)

	return g
}

func (m *maker) err() error { return errors.Join(m.errs...) }
