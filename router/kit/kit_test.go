package kit_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/router/kit"
	"github.com/minogrpc/session/router/tree/types"
	"github.com/minogrpc/session/serde"
	"github.com/minogrpc/session/serde/json"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
)

// routers are those of the examples.
var routers = map[string]func(mino.AddressFactory) router.Router{
	"star": func(f mino.AddressFactory) router.Router { return Star{kit.NewMessages(f, 0)} },
	"ring": func(f mino.AddressFactory) router.Router { return Ring{kit.NewMessages(f, 0)} },
}

func TestExamples_AreConformant(t *testing.T) {
	for name, newRouter := range routers {
		t.Run(name, func(t *testing.T) { sessiontest.TestRouter(t, newRouter) })
	}
}

// text is a message and its factory.
type text string

func (t text) Serialize(serde.Context) ([]byte, error) { return []byte(t), nil }

func (text) Deserialize(_ serde.Context, data []byte) (serde.Message, error) { return text(data), nil }

// greeter answers one message.
type greeter struct{ mino.UnsupportedHandler }

func (greeter) Stream(out mino.Sender, in mino.Receiver) error {
	from, msg, err := in.Recv(context.Background())
	if err != nil {
		return err
	}

	return <-out.Send(msg, from)
}

// Nodes route with the examples, in JSON or in binary form.
func TestExamples_ReachEveryNode(t *testing.T) {
	for name, newRouter := range routers {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := sessiontest.Cluster(t, 5, sessiontest.WithRouter(newRouter),
					sessiontest.WithRPC("greet", greeter{}, text("")))
				out, in, err := c.RPC(0, "greet").Stream(t.Context(), c.Players())
				require.NoError(t, err)

				for err := range out.Send(text("hello"), c.Addresses()...) {
					require.NoError(t, err)
				}

				for range c.Len() {
					_, msg, err := in.Recv(t.Context())
					require.NoError(t, err)
					require.Equal(t, text("hello"), msg)
				}
			})
		})
	}
}

// Promise R3: what is too long is refused, whoever made it.
func TestMessages_HaveBounds(t *testing.T) {
	m := kit.NewMessages(session.AddressFactory{}, 2)
	a, b, c := session.NewAddress("a:1"), session.NewAddress("b:1"), session.NewAddress("c:1")

	_, err := m.Players(mino.NewAddresses(a, b, c), a)
	require.ErrorContains(t, err, "limit of 2")
	_, err = m.AddressesOf(types.NewHandshake(0, a, b, c))
	require.ErrorContains(t, err, "limit of 2")
	_, err = m.AddressesOf(types.NewHandshake(0, nil))
	require.Error(t, err)
	_, err = m.AddressesOf(nil)
	require.ErrorContains(t, err, "not one of this router")

	data, err := m.Make(a, []mino.Address{a, b, c}, nil).Serialize(json.NewContext())
	require.NoError(t, err)
	_, err = m.GetPacketFactory().PacketOf(json.NewContext(), data)
	require.ErrorContains(t, err, "limit of 2")
}

// Promise O4: an address that cannot be sent is a void, and next is not asked.
func TestMessages_SplitKeepsWhatCannotBeSent(t *testing.T) {
	m := kit.NewMessages(session.AddressFactory{}, 0)
	a := session.NewAddress("a:1")
	refused := errors.New("not today")

	routes, voids := m.Split(m.Make(a, []mino.Address{a, nil}, nil), func(to mino.Address) (mino.Address, error) {
		require.Equal(t, mino.Address(a), to)

		return nil, refused
	})
	require.Empty(t, routes)
	require.Equal(t, refused, voids[a].Error)
	require.ErrorContains(t, voids[nil].Error, "malformed")
}
