// Package registry maps formats to the engines of one kind of message.
//
// A package that defines a message keeps one registry for it, registers its
// engines when it is imported, and looks up the engine for the format of the
// context each time a message is encoded or decoded.
package registry

import (
	"fmt"
	"sync"

	"github.com/minogrpc/session/serde"
)

// Registry maps a format to its engine. All methods may be called from several
// goroutines at once.
type Registry interface {
	// Register stores the engine for a format and replaces the one that was there.
	Register(format serde.Format, engine serde.FormatEngine)

	// Get returns the engine for a format. It is never nil: for an unknown format it
	// is an engine whose methods return an error that says so.
	Get(format serde.Format) serde.FormatEngine
}

// SimpleRegistry implements [Registry] with a map. The zero value is empty and ready
// for use.
type SimpleRegistry struct {
	mu      sync.RWMutex
	engines map[serde.Format]serde.FormatEngine
}

// NewSimpleRegistry returns an empty registry.
func NewSimpleRegistry() *SimpleRegistry {
	return &SimpleRegistry{}
}

// Register implements Registry. A nil engine takes away the one that was there.
func (r *SimpleRegistry) Register(format serde.Format, engine serde.FormatEngine) {
	r.mu.Lock()
	defer r.mu.Unlock()

	if r.engines == nil {
		r.engines = make(map[serde.Format]serde.FormatEngine)
	}

	r.engines[format] = engine
}

// Get implements Registry.
func (r *SimpleRegistry) Get(format serde.Format) serde.FormatEngine {
	r.mu.RLock()
	defer r.mu.RUnlock()

	engine := r.engines[format]
	if engine == nil {
		return unknownFormat(format)
	}

	return engine
}

// unknownFormat is the engine of a format that nobody registered.
type unknownFormat serde.Format

// Encode implements serde.FormatEngine. It always fails.
func (f unknownFormat) Encode(_ serde.Context, message serde.Message) ([]byte, error) {
	return nil, fmt.Errorf("no engine for format %q to encode %T", string(f), message)
}

// Decode implements serde.FormatEngine. It always fails.
func (f unknownFormat) Decode(serde.Context, []byte) (serde.Message, error) {
	return nil, fmt.Errorf("no engine for format %q", string(f))
}
