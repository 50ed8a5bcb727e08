// Package slogged lets the log of this library, which is zerolog's, go to a logger of log/slog. Events at levels
// that the slog handler does not want cost one call of its Enabled.
package slogged

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"github.com/minogrpc/session/internal/contain"
	"github.com/rs/zerolog"
)

// The levels that slog has no name for. They keep the distance that slog's levels have.
const (
	levelTrace = slog.LevelDebug - 4
	levelFatal = slog.LevelError + 4
	levelPanic = slog.LevelError + 8
)

// New returns a logger whose events go to the other one. A panic in the handler of that one loses the event,
// and so does an error, as slog itself does. The logger must not be nil.
func New(logger *slog.Logger) zerolog.Logger {
	s := sink{logger.Handler()}

	return zerolog.New(s).Sample(s)
}

// sink writes events to a handler. It implements zerolog.LevelWriter, and zerolog.Sampler, which zerolog asks
// before it makes an event.
type sink struct {
	handler slog.Handler
}

// Sample tells whether the handler wants events of the level.
func (s sink) Sample(level zerolog.Level) bool {
	wanted, _ := contain.Call(func() (bool, error) {
		return s.handler.Enabled(context.Background(), levelOf(level)), nil
	})

	return wanted
}

// Write implements io.Writer for an event without a level.
func (s sink) Write(event []byte) (int, error) {
	return s.WriteLevel(zerolog.NoLevel, event)
}

// WriteLevel implements zerolog.LevelWriter. It never fails: zerolog would print that to the standard error of
// the process.
func (s sink) WriteLevel(level zerolog.Level, event []byte) (int, error) {
	// An application may have switched off all samplers.
	if s.Sample(level) {
		_ = contain.Do(func() { _ = s.handler.Handle(context.Background(), recordOf(level, event)) })
	}

	return len(event), nil
}

// levelOf returns the level of slog.
func levelOf(level zerolog.Level) slog.Level {
	switch level {
	case zerolog.TraceLevel:
		return levelTrace
	case zerolog.DebugLevel:
		return slog.LevelDebug
	case zerolog.WarnLevel:
		return slog.LevelWarn
	case zerolog.ErrorLevel:
		return slog.LevelError
	case zerolog.FatalLevel:
		return levelFatal
	case zerolog.PanicLevel:
		return levelPanic
	case zerolog.InfoLevel, zerolog.NoLevel, zerolog.Disabled:
		return slog.LevelInfo
	default:
		return slog.LevelInfo
	}
}

// recordOf returns an event as a record, with its fields in their order. An event that cannot be read is the
// message as it is.
func recordOf(level zerolog.Level, event []byte) slog.Record {
	message, attrs, err := read(event)
	if err != nil {
		message, attrs = string(bytes.TrimSpace(event)), nil
	}

	record := slog.NewRecord(time.Now(), levelOf(level), message, 0)
	record.AddAttrs(attrs...)

	return record
}

// read returns the message and the fields of an event, which is an object of JSON.
func read(event []byte) (message string, attrs []slog.Attr, err error) {
	decoder := json.NewDecoder(bytes.NewReader(event))
	decoder.UseNumber()

	if begin, err := decoder.Token(); err != nil || begin != json.Delim('{') {
		return "", nil, errors.Join(errors.New("no event"), err)
	}

	for decoder.More() {
		var value any

		token, err := decoder.Token()
		if err == nil {
			err = decoder.Decode(&value)
		}

		if err != nil {
			return "", nil, err
		}

		key, _ := token.(string) // The decoder takes no other key.

		switch key {
		case zerolog.LevelFieldName: // The record has it.
		case zerolog.MessageFieldName:
			message, _ = value.(string)
		default:
			attrs = append(attrs, slog.Attr{Key: key, Value: valueOf(value)})
		}
	}

	return message, attrs, nil
}

// valueOf returns a value of JSON. A number is an integer where it can be one.
func valueOf(value any) slog.Value {
	number, ok := value.(json.Number)
	if !ok {
		return slog.AnyValue(value)
	}

	text := number.String()

	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return slog.Int64Value(n)
	}

	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		return slog.Uint64Value(n)
	}

	if x, err := number.Float64(); err == nil {
		return slog.Float64Value(x)
	}

	return slog.StringValue(text)
}
