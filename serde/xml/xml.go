// Package xml provides the serde context for XML, for messages that have a format of
// that kind. The routers and overlays of this module speak JSON: an application uses XML
// for what it stores or shows.
package xml

import (
	"encoding/xml"

	"github.com/minogrpc/session/serde"
)

// engine implements serde.ContextEngine. It has no state.
type engine struct{}

// NewContext returns a context that encodes with encoding/xml.
func NewContext() serde.Context {
	return serde.NewContext(engine{})
}

// GetFormat implements serde.ContextEngine.
func (engine) GetFormat() serde.Format {
	return serde.FormatXML
}

// Marshal implements serde.ContextEngine.
func (engine) Marshal(message any) ([]byte, error) {
	return xml.Marshal(message)
}

// Unmarshal implements serde.ContextEngine.
func (engine) Unmarshal(data []byte, message any) error {
	return xml.Unmarshal(data, message)
}
