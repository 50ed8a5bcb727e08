package mimic_test

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/existing"
	"github.com/minogrpc/session/internal/existing/mimic"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// echo answers with the same message.
type echo struct{ mino.UnsupportedHandler }

func (echo) Stream(out mino.Sender, in mino.Receiver) error {
	for {
		from, msg, err := in.Recv(context.Background())
		if errors.Is(err, io.EOF) {
			return nil
		}

		if err != nil {
			return err
		}

		for range out.Send(msg, from) {
			return errors.New("not answered")
		}
	}
}

func start(t *testing.T) *existing.Node {
	t.Helper()

	n, err := existing.Start(existing.Config{})
	require.NoError(t, err)
	t.Cleanup(n.Stop)

	n.Handle("echo", mimic.Handler(echo{}, fake.MessageFactory{}))

	return n
}

// Each destination has one outcome, also those that have no text.
func TestSend_TellsOfEachDestinationOnce(t *testing.T) {
	nodes := []*existing.Node{start(t), start(t)}
	known := session.AddressFactory{}.FromText([]byte(nodes[0].Address()))
	stranger := session.NewAddress("grpc://stranger:1")

	out, in, err := mimic.Open(t.Context(), nodes[1], "echo", mino.NewAddresses(known), fake.MessageFactory{})
	require.NoError(t, err)

	reasons := make(map[mino.Address]session.Reason)

	for err := range out.Send(fake.Message("hello"), known, stranger, nil) {
		failed, ok := errors.AsType[*session.DeliveryError](err)
		require.True(t, ok)

		reasons[failed.Destination] = failed.Reason
	}

	require.Equal(t, map[mino.Address]session.Reason{
		stranger: session.ReasonNoRoute, nil: session.ReasonNoRoute,
	}, reasons)

	from, msg, err := in.Recv(t.Context())
	require.NoError(t, err)
	require.Equal(t, known, from)
	require.Equal(t, fake.Message("hello"), msg)
}
