package types_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
	_ "github.com/minogrpc/session/router/tree/json"
	"github.com/minogrpc/session/router/tree/types"
	"github.com/minogrpc/session/serde"
	"github.com/minogrpc/session/serde/json"
	"github.com/minogrpc/session/serde/xml"
	"github.com/stretchr/testify/require"
)

var (
	a mino.Address = session.NewAddress("a:1")
	b mino.Address = session.NewAddress("b:1")
	c mino.Address = session.NewAddress("c:1")
)

// players are those of the golden files.
var players = []mino.Address{session.NewAddress("127.0.0.1:2001"), session.NewAddress("grpc://127.0.0.1:2002")}

// golden returns a file that holds what other nodes see.
func golden(t *testing.T, name string) string {
	t.Helper()

	data, err := os.ReadFile(filepath.Join("..", "..", "..", "testdata", "tree", name))
	require.NoError(t, err)

	return string(data)
}

func TestPacket_HoldsEachDestinationOnce(t *testing.T) {
	dest := []mino.Address{b, c, b}
	p := types.NewPacket(a, []byte("hello"), dest...)
	dest[0] = a

	require.Equal(t, a, p.GetSource())
	require.Equal(t, "hello", string(p.GetMessage()))
	require.Equal(t, []mino.Address{b, c}, p.GetDestination())

	p.Add(c)
	p.Add(a)
	require.Equal(t, []mino.Address{b, c, a}, p.GetDestination())
}

func TestPacket_SliceTakesOneAddressOut(t *testing.T) {
	p := types.NewPacket(a, []byte("hello"), b, c)
	before := p.GetDestination()

	alone := p.Slice(b)
	require.Equal(t, []mino.Address{b}, alone.GetDestination())
	require.Equal(t, "hello", string(alone.GetMessage()))
	require.Equal(t, []mino.Address{c}, p.GetDestination())
	require.Equal(t, []mino.Address{b, c}, before)

	alone = p.Slice(b)
	if alone != nil { // for require.Nil a nil pointer would do
		t.Errorf("what is no destination has the slice %v", alone)
	}
}

// What is added to a part of a packet must not appear in another.
func TestPacket_PartsShareNoDestinations(t *testing.T) {
	p := types.NewPacket(a, nil, b)
	p.Add(c)

	all := p.GetDestination()
	part := p.Slice(c).(*types.Packet)
	part.Add(a)
	p.Add(session.NewAddress("d:1"))

	require.Equal(t, []mino.Address{c, a}, part.GetDestination())
	require.Equal(t, []mino.Address{b, session.NewAddress("d:1")}, p.GetDestination())
	require.Equal(t, []mino.Address{b, c}, all)
}

func TestPacket_SurvivesTheNetworkInEveryForm(t *testing.T) {
	factory := types.NewPacketFactory(session.AddressFactory{})
	source := session.NewOrchestratorAddress(session.NewAddress("127.0.0.1:2000"))
	p := types.NewPacket(source, []byte("hello"), players...)

	data, err := p.Serialize(json.NewContext())
	require.NoError(t, err)
	require.Equal(t, golden(t, "packet.json"), string(data))

	header, err := p.AppendHeader(nil)
	require.NoError(t, err)

	fromText, err := factory.Deserialize(json.NewContext(), data)
	require.NoError(t, err)
	fromHeader, err := factory.PacketOfHeader(header, []byte("hello"))
	require.NoError(t, err)

	for _, got := range []any{fromText, fromHeader} {
		require.Equal(t, p.GetSource(), got.(*types.Packet).GetSource())
		require.Equal(t, p.GetDestination(), got.(*types.Packet).GetDestination())
		require.Equal(t, p.GetMessage(), got.(*types.Packet).GetMessage())
	}
}

// Promise O4: an address that is no address costs no panic, and does not travel.
func TestNewPacket_AddressThatCannotBeSentStaysInThePacket(t *testing.T) {
	bad := map[string]mino.Address{
		"nil":          nil,
		"zero":         session.Address{},
		"no host":      session.NewAddress(":1"),
		"unknown type": session.AddressFactory{}.FromText([]byte("FZhost:1")),
		"no text":      failingAddress{},
	}

	for name, addr := range bad {
		p := types.NewPacket(a, nil, b, addr)
		p.Add(addr)
		require.Len(t, p.GetDestination(), 3, name)

		for _, p := range []*types.Packet{p, types.NewPacket(addr, nil, b)} {
			_, err := p.Serialize(json.NewContext())
			require.ErrorContains(t, err, "cannot be sent", name)

			_, err = p.AppendHeader(nil)
			require.ErrorContains(t, err, "cannot be sent", name)
		}
	}
}

func TestPacketFactory_RefusesWhatTheEngineShouldNotReturn(t *testing.T) {
	var none *types.Packet

	for _, msg := range []serde.Message{nil, none, types.Handshake{}} {
		types.RegisterPacketFormat("test", engine{msg: msg})

		_, err := types.NewPacketFactory(session.AddressFactory{}).PacketOf(serde.NewContext(testFormat{}), nil)
		require.ErrorContains(t, err, "failed to decode packet: it is a ")
	}
}

func TestFormats_EngineIsThatOfTheContext(t *testing.T) {
	packet, handshake := types.NewPacket(a, nil, b), types.NewHandshake(1, b)
	types.RegisterPacketFormat("test", engine{msg: packet})
	types.RegisterHandshakeFormat("test", engine{msg: handshake})

	ctx := serde.NewContext(testFormat{})
	packets := types.NewPacketFactory(session.AddressFactory{})
	handshakes := types.NewHandshakeFactory(session.AddressFactory{})

	for _, msg := range []serde.Message{packet, handshake} {
		data, err := msg.Serialize(ctx)
		require.NoError(t, err)
		require.Equal(t, "encoded", string(data))

		_, err = msg.Serialize(xml.NewContext())
		require.ErrorContains(t, err, `no engine for format "XML"`)
	}

	p, err := packets.PacketOf(ctx, []byte("FBa:1"))
	require.NoError(t, err)
	require.Same(t, packet, p)

	h, err := handshakes.HandshakeOf(ctx, []byte("FBa:1"))
	require.NoError(t, err)
	require.Equal(t, handshake, h)
}

// The tables of the router read these packets as they do their own.
var _ router.BinaryPacket = (*types.Packet)(nil)

// engine is a format engine that knows one message, and what an address looks like.
type engine struct{ msg serde.Message }

func (engine) Encode(serde.Context, serde.Message) ([]byte, error) { return []byte("encoded"), nil }

func (e engine) Decode(ctx serde.Context, data []byte) (serde.Message, error) {
	f, ok := ctx.GetFactory(types.AddrKey{}).(mino.AddressFactory)
	if !ok || data != nil && !f.FromText(data).Equal(a) {
		return nil, errors.New("there is no address factory")
	}

	return e.msg, nil
}

// testFormat is the context engine of a format that only the tests have.
type testFormat struct{ serde.ContextEngine }

func (testFormat) GetFormat() serde.Format { return "test" }

// failingAddress has no text form.
type failingAddress struct{ session.Address }

func (failingAddress) MarshalText() ([]byte, error)        { return nil, errNoText }
func (failingAddress) AppendText(b []byte) ([]byte, error) { return b, errNoText }

func (failingAddress) GetHostname() (string, error) { return "host", nil }

var errNoText = errors.New("no text")
