// Package ptypes is the wire of the overlay: the messages and the gRPC service that
// overlay.proto defines, generated. docs/wire.md says what they mean, and which of their
// fields nodes of other implementations know.
package ptypes
