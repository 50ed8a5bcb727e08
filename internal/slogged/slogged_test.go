package slogged_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/minogrpc/session/internal/slogged"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

// records is a slog handler that keeps what it gets, from a level on.
type records struct {
	slog.Handler

	from slog.Level

	mu   sync.Mutex
	kept []slog.Record
}

func (r *records) Enabled(_ context.Context, level slog.Level) bool { return level >= r.from }

func (r *records) Handle(_ context.Context, record slog.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()

	r.kept = append(r.kept, record)

	return errors.New("nobody hears of this error")
}

func attrsOf(record slog.Record) []slog.Attr {
	var attrs []slog.Attr

	record.Attrs(func(a slog.Attr) bool {
		attrs = append(attrs, a)

		return true
	})

	return attrs
}

func TestNew_KeepsMessageAndFields(t *testing.T) {
	h := &records{}
	logger := slogged.New(slog.New(h)).With().Str("self", "grpc://a:1").Logger()
	begin := time.Now()

	logger.Warn().Err(errors.New("an \"error\"")).Int("few", -3).Uint64("many", 1<<63).Float64("part", 0.5).
		Bool("yes", true).Strs("names", []string{"x", "y"}).Dict("more", zerolog.Dict().Int("n", 1)).
		Any("none", nil).Float64("large", 1e300).Bytes("stack", []byte("a\nb")).Msg("it <happens>")

	require.Len(t, h.kept, 1)
	record := h.kept[0]
	require.Equal(t, "it <happens>", record.Message)
	require.Equal(t, slog.LevelWarn, record.Level)
	require.False(t, record.Time.Before(begin))

	attrs := attrsOf(record)
	require.Equal(t, []any{"x", "y"}, attrs[6].Value.Any())
	require.Contains(t, attrs[7].Value.Any(), "n")

	attrs = append(attrs[:6:6], attrs[8:]...)
	require.Equal(t, []slog.Attr{
		slog.String("self", "grpc://a:1"), slog.String("error", `an "error"`), slog.Int64("few", -3),
		slog.Uint64("many", 1<<63), slog.Float64("part", 0.5), slog.Bool("yes", true),
		slog.Any("none", nil), slog.Float64("large", 1e300), slog.String("stack", "a\nb"),
	}, attrs)
}

func TestNew_KeepsLevels(t *testing.T) {
	h := &records{from: slog.LevelDebug - 4}
	logger := slogged.New(slog.New(h))

	for level, want := range map[zerolog.Level]slog.Level{
		zerolog.TraceLevel: slog.LevelDebug - 4,
		zerolog.DebugLevel: slog.LevelDebug,
		zerolog.InfoLevel:  slog.LevelInfo,
		zerolog.WarnLevel:  slog.LevelWarn,
		zerolog.ErrorLevel: slog.LevelError,
		zerolog.FatalLevel: slog.LevelError + 4,
		zerolog.PanicLevel: slog.LevelError + 8,
		zerolog.NoLevel:    slog.LevelInfo,
	} {
		h.kept = nil

		logger.WithLevel(level).Msg("")
		require.Len(t, h.kept, 1, level)
		require.Equal(t, want, h.kept[0].Level, level)
	}
}

// An event that the handler does not want is never made.
func TestNew_AsksTheHandlerFirst(t *testing.T) {
	h := &records{from: slog.LevelWarn}
	logger := slogged.New(slog.New(h))

	made := 0
	count := func(*zerolog.Event) { made++ }

	logger.Info().Func(count).Msg("not wanted")
	require.Zero(t, made)
	logger.Warn().Func(count).Msg("wanted")
	require.Equal(t, 1, made)

	require.Zero(t, testing.AllocsPerRun(100, func() { logger.Debug().Msg("not wanted") }))

	zerolog.DisableSampling(true)
	defer zerolog.DisableSampling(false)

	logger.Info().Msg("not wanted")
	logger.Warn().Msg("wanted")
	require.Len(t, h.kept, 2)
	require.Equal(t, "wanted", h.kept[1].Message)
}

// broken is a slog handler that panics.
type broken struct {
	slog.Handler

	enabled bool
}

func (b broken) Enabled(context.Context, slog.Level) bool {
	if !b.enabled {
		panic("at the disco")
	}

	return true
}

func (broken) Handle(context.Context, slog.Record) error { panic("at the disco") }

// Promise S1: a handler that panics loses the event alone.
func TestNew_PanicsAreContained(t *testing.T) {
	for _, h := range []slog.Handler{broken{enabled: true}, broken{enabled: false}, nil} {
		logger := new(slog.Logger)
		if h != nil {
			logger = slog.New(h)
		}

		own := slogged.New(logger)
		require.NotPanics(t, func() { own.Error().Msg("hello") })
	}
}

func TestNew_MayBeUsedByMany(t *testing.T) {
	const writers, events = 8, 100

	h := &records{}
	logger := slogged.New(slog.New(h))

	var group sync.WaitGroup

	for i := range writers {
		group.Go(func() {
			for range events {
				logger.Info().Int("writer", i).Msg("hello")
			}
		})
	}

	group.Wait()
	require.Len(t, h.kept, writers*events)

	count := make(map[int64]int)
	for _, record := range h.kept {
		count[attrsOf(record)[0].Value.Int64()]++
	}

	for i := range int64(writers) {
		require.Equal(t, events, count[i])
	}
}

// Something that is no event is logged as it is.
func TestNew_OddEventIsTheMessage(t *testing.T) {
	h := &records{}
	logger := slogged.New(slog.New(h))

	logger.Info().RawJSON("odd", []byte("{]")).Msg("hello")
	require.Contains(t, h.kept[0].Message, `"odd":{]`)
	require.Empty(t, attrsOf(h.kept[0]))
}
