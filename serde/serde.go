// Package serde defines how messages become bytes and how bytes become messages.
//
// A [Message] serializes itself with a [Context], which names the [Format]. A [Factory] makes the
// message from the bytes. The usual implementation of both looks up the [FormatEngine] of its type
// for the format of the context, so that one message may have several formats (see the registry
// package next to this one).
//
// Contexts are immutable values and may be shared by any number of goroutines. Messages, factories
// and engines may be called from several goroutines at once.
package serde

import "io"

// Format names an encoding.
type Format string

const (
	// FormatJSON is JSON as package encoding/json writes it.
	FormatJSON Format = "JSON"

	// FormatXML is XML as package encoding/xml writes it.
	FormatXML Format = "XML"
)

// Message is a value that a protocol can send.
type Message interface {
	// Serialize returns the bytes of the message in the format of the context. The caller owns
	// them: Serialize may not return a buffer that it uses again, or changes later. A session sends
	// the bytes after Serialize has returned, without a copy. In tests, CheckMessages of
	// sessiontest's network finds messages that break this rule.
	Serialize(ctx Context) ([]byte, error)
}

// Fingerprinter is an object with a binary form that is the same on every node and in
// every run, so that it can be hashed or signed, whatever format it travels in.
type Fingerprinter interface {
	// Fingerprint writes the binary form, and returns the error of the writer, if any.
	Fingerprint(writer io.Writer) error
}

// Factory makes messages of one kind from bytes.
type Factory interface {
	// Deserialize returns the message that the data stand for, in the format of the context. The
	// data may come from the network, hence from anyone. The message may keep the data.
	Deserialize(ctx Context, data []byte) (Message, error)
}

// FormatEngine encodes and decodes one kind of message in one format.
type FormatEngine interface {
	// Encode returns the bytes of a message. It returns an error when the message is not of the
	// kind that the engine encodes.
	Encode(ctx Context, message Message) ([]byte, error)

	// Decode returns the message that the data stand for.
	Decode(ctx Context, data []byte) (Message, error)
}

// ContextEngine is the encoding that a [Context] offers to the format engines.
type ContextEngine interface {
	// GetFormat returns the name of the encoding.
	GetFormat() Format

	// Marshal returns the bytes of a value that the encoding can represent.
	Marshal(message any) ([]byte, error)

	// Unmarshal fills the value that message points to.
	Unmarshal(data []byte, message any) error
}

// Context carries the encoding to use, and the factories that an engine needs for the values inside
// a message. The zero value has no engine and cannot be used.
type Context struct {
	ContextEngine

	// factory is the innermost of a chain of immutable links, so that a derived
	// context costs one small allocation and never touches its parent.
	factory *binding
}

type binding struct {
	key     any
	factory Factory
	parent  *binding
}

// NewContext returns a context without factories.
func NewContext(engine ContextEngine) Context {
	return Context{ContextEngine: engine}
}

// GetFactory returns the factory that WithFactory stored last under the key, or nil. The key must
// be comparable.
func (ctx Context) GetFactory(key any) Factory {
	for b := ctx.factory; b != nil; b = b.parent {
		if b.key == key {
			return b.factory
		}
	}

	return nil
}

// WithFactory returns a context that has the factory under the key. It does not change the context
// that it is called on. The key must be comparable, and should be of a type of the caller's own, so
// that packages do not collide.
func WithFactory(ctx Context, key any, f Factory) Context {
	ctx.factory = &binding{key: key, factory: f, parent: ctx.factory}

	return ctx
}
