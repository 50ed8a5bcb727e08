package mino_test

import (
	"errors"
	"testing"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/serde"
	"github.com/stretchr/testify/require"
)

// The numbers are letters of the text form of an address, hence on the wire.
func TestAddressConnectionType_NumbersAreThoseOfTheNetwork(t *testing.T) {
	require.EqualValues(t, 0, mino.ACTgRPC)
	require.EqualValues(t, 1, mino.ACTgRPCS)
	require.EqualValues(t, 2, mino.ACThttps)
	require.EqualValues(t, 3, mino.ACTws)
}

func TestResponse_IsAMessageOrAnError(t *testing.T) {
	resp := mino.NewResponse(name("a"), message{})
	msg, err := resp.GetMessageOrError()

	require.NoError(t, err)
	require.Equal(t, message{}, msg)
	require.Equal(t, name("a"), resp.GetFrom())

	cause := errors.New("oops")
	resp = mino.NewResponseWithError(name("b"), cause)
	msg, err = resp.GetMessageOrError()

	require.Equal(t, cause, err)
	require.Nil(t, msg)
	require.Equal(t, name("b"), resp.GetFrom())
}

func TestUnsupportedHandler_RefusesBothKinds(t *testing.T) {
	var h mino.Handler = mino.UnsupportedHandler{}

	resp, err := h.Process(mino.Request{})
	require.ErrorContains(t, err, "does not support")
	require.Nil(t, resp)

	require.ErrorContains(t, h.Stream(nil, nil), "does not support")
}

func TestMustCreateRPC_PanicsOnAnError(t *testing.T) {
	node := &fakeMino{}
	require.Equal(t, fakeRPC{}, mino.MustCreateRPC(node, "good", mino.UnsupportedHandler{}, nil))

	node.err = errors.New("taken")
	require.PanicsWithError(t, "taken", func() { mino.MustCreateRPC(node, "bad", mino.UnsupportedHandler{}, nil) })
}

// message is empty.
type message struct{}

func (message) Serialize(serde.Context) ([]byte, error) { return nil, nil }

// fakeMino creates nothing but an RPC or an error.
type fakeMino struct {
	mino.Mino

	err error
}

func (m *fakeMino) CreateRPC(string, mino.Handler, serde.Factory) (mino.RPC, error) {
	return fakeRPC{}, m.err
}

type fakeRPC struct{ mino.RPC }
