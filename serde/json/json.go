// Package json provides the serde context for JSON, the format that every node
// understands.
package json

import (
	"encoding/json"

	"github.com/minogrpc/session/serde"
)

// engine implements serde.ContextEngine. It has no state.
type engine struct{}

// NewContext returns a context that encodes with encoding/json.
func NewContext() serde.Context {
	return serde.NewContext(engine{})
}

// GetFormat implements serde.ContextEngine.
func (engine) GetFormat() serde.Format {
	return serde.FormatJSON
}

// Marshal implements serde.ContextEngine.
func (engine) Marshal(message any) ([]byte, error) {
	return json.Marshal(message)
}

// Unmarshal implements serde.ContextEngine.
func (engine) Unmarshal(data []byte, message any) error {
	return json.Unmarshal(data, message)
}
