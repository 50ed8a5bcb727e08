package mino_test

import (
	"context"
	"testing"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/serde"
	"github.com/stretchr/testify/require"
)

// plain is a sender that knows no contexts.
type plain struct{ mino.Sender }

// contextual notes who has sent.
type contextual struct {
	plain

	by []any
}

type byKey struct{}

// Send implements mino.Sender.
func (c *contextual) Send(msg serde.Message, addrs ...mino.Address) <-chan error {
	return c.SendContext(context.Background(), msg, addrs...)
}

// SendContext implements mino.ContextSender.
func (c *contextual) SendContext(ctx context.Context, _ serde.Message, _ ...mino.Address) <-chan error {
	c.by = append(c.by, ctx.Value(byKey{}))

	errs := make(chan error)
	close(errs)

	return errs
}

func TestInContext_SendsInTheContext(t *testing.T) {
	by := func(who string) context.Context { return context.WithValue(t.Context(), byKey{}, who) }
	out := &contextual{}
	bound := mino.InContext(by("a"), out)

	out.Send(nil)
	bound.Send(nil)
	mino.InContext(by("b"), bound).Send(nil)
	require.Equal(t, []any{nil, "a", "b"}, out.by, "the last one counts")

	out.by = nil

	mino.Outcomes(by("c"), out, nil)
	mino.Outcomes(by("c"), bound, nil)
	require.Equal(t, []any{"c", "a"}, out.by, "a sender that has a context keeps it")

	require.Equal(t, plain{}, mino.InContext(by("d"), plain{}), "nothing to tell it to")
}
