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

// Registry maps a format to its engine. The zero value is empty and ready for
// use. All methods may be called from several goroutines at once.
type Registry struct {
	mu      sync.RWMutex
	engines map[serde.Format]serde.FormatEngine
}

// New returns an empty registry.
func New() *Registry {
	return &Registry{}
}

// Register stores the engine for a format and replaces the one that was there.
func (r *Registry) Register(format serde.Format, engine serde.FormatEngine) {
	r.mu.Lock()
	defer r.mu.Unlock()

	if r.engines == nil {
		r.engines = make(map[serde.Format]serde.FormatEngine)
	}

	r.engines[format] = engine
}

// Get returns the engine for a format. It is never nil: for an unknown format it
// is an engine whose methods return an error that says so.
func (r *Registry) Get(format serde.Format) serde.FormatEngine {
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
