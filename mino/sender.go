package mino

import (
	"context"

	"github.com/minogrpc/session/serde"
)

// ContextSender is a [Sender] that wants to know in which context a message is sent. The senders of sessions
// are such senders: a tracer finds the parent of the message there.
type ContextSender interface {
	Sender

	// SendContext is Send in a context. The end of the context has no effect: the channel alone tells what
	// becomes of the message.
	SendContext(ctx context.Context, msg serde.Message, addrs ...Address) <-chan error
}

// InContext returns a sender that sends in the context, if the other one is a [ContextSender]. If not, it
// returns that one.
func InContext(ctx context.Context, out Sender) Sender {
	sender, ok := out.(ContextSender)
	if !ok {
		return out
	}

	return inContext{sender, ctx}
}

// inContext is a sender whose messages are sent in one context, unless they have one of their own.
type inContext struct {
	ContextSender

	ctx context.Context
}

// Send implements Sender.
func (s inContext) Send(msg serde.Message, addrs ...Address) <-chan error {
	return s.SendContext(s.ctx, msg, addrs...)
}
