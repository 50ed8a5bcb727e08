package mino

import (
	"context"

	"github.com/minogrpc/session/serde"
)

// ContextHandler is a [Handler] that is given a context. An overlay that has one calls these methods
// instead of Process and Stream. A type that has only these embeds [UnsupportedHandler] for the rest.
type ContextHandler interface {
	Handler

	// ProcessContext is Process. The context has the deadline of the caller, and is done when the
	// caller does not wait any more, or a stop of the node does not.
	ProcessContext(ctx context.Context, req Request) (resp serde.Message, err error)

	// StreamContext is Stream. The context is done when the node's part in the stream has ended.
	// [context.Cause] then says why: it is io.EOF after a clean end. A handler that only passes the
	// context to Recv gets what is still queued first, because Recv prefers a message to the context
	// of an ended stream.
	StreamContext(ctx context.Context, out Sender, in Receiver) error
}

// Info is what a handler may want to know of the call or stream that it takes part in.
type Info struct {
	// Stream is the id of the stream, the same on all nodes. It is empty in a call.
	Stream string
	// Procedure is the name of the procedure with its segments, and a slash between them.
	Procedure string
	// Protocol is the tag that the orchestrator has given the stream, or empty.
	Protocol string
	// Orchestrator is the node that has opened the stream, or that calls. It is what the nodes on the
	// way say, and nil if one of them does not say it.
	Orchestrator Address
	// Address is this node.
	Address Address
	// Parent is the neighbour above in the tree of the stream at this moment. It is the
	// orchestrator if this node is the root, and nil in a call or while there is none.
	Parent Address
	// Children are the neighbours below, to which this node has opened the stream, at this moment.
	Children []Address
}

type infoKey struct{}

// WithInfo returns a context in which [InfoOf] finds what the function returns. It is for overlays.
// The function may be called from several goroutines at once.
func WithInfo(ctx context.Context, info func() Info) context.Context {
	return context.WithValue(ctx, infoKey{}, info)
}

// InfoOf returns what there is to know at this moment of the call or stream of a handler's context. It
// returns false if the context is not of a handler.
func InfoOf(ctx context.Context) (Info, bool) {
	info, ok := ctx.Value(infoKey{}).(func() Info)
	if !ok {
		return Info{}, false
	}

	return info(), true
}

type protocolKey struct{}

// WithProtocol returns a context for [RPC] Stream that gives the stream a tag, which the handlers of
// all players find in [Info]. The tag must be printable ASCII.
func WithProtocol(ctx context.Context, tag string) context.Context {
	return context.WithValue(ctx, protocolKey{}, tag)
}

// ProtocolOf returns the tag that [WithProtocol] has given the context. It returns an empty string if
// there is none.
func ProtocolOf(ctx context.Context) string {
	tag, _ := ctx.Value(protocolKey{}).(string)

	return tag
}
