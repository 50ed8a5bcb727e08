package minogrpc_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"net"
	"net/url"
	"testing"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/minogrpc/certs"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/router/tree"
	"github.com/minogrpc/session/serde"
	"github.com/stretchr/testify/require"
)

func TestParseAddress_KeepsWhatIsNoIP(t *testing.T) {
	require.Equal(t, "127.0.0.1:2000", minogrpc.ParseAddress("127.0.0.1", 2000).String())
	require.Equal(t, "[::1]:0", minogrpc.ParseAddress("::1", 0).String())
	require.Equal(t, ":80", minogrpc.ParseAddress("", 80).String())
	require.Equal(t, "localhost:1", minogrpc.ParseAddress("localhost", 1).String())
	require.Equal(t, "tcp", minogrpc.ParseAddress("localhost", 1).Network())
}

func TestNewMinogrpc_AdvertisesTheBoundSocket(t *testing.T) {
	plain := start(t, minogrpc.NoTLS())
	require.Equal(t, mino.ACTgRPC, plain.GetAddress().ConnectionType())
	require.Regexp(t, `^grpc://127\.0\.0\.1:[1-9]\d*$`, plain.GetAddress().String())

	secure := start(t)
	require.Equal(t, mino.ACTgRPCS, secure.GetAddress().ConnectionType())
	require.Regexp(t, `^grpcs://127\.0\.0\.1:[1-9]\d*$`, secure.GetAddress().String())
	require.Equal(t, "minogrpc["+secure.GetAddress().String()+"]", secure.String())

	text, err := secure.GetAddress().MarshalText()
	require.NoError(t, err)
	require.True(t, secure.GetAddressFactory().FromText(text).Equal(secure.GetAddress()))
}

func TestNewMinogrpc_AdvertisesThePublicURL(t *testing.T) {
	node, err := minogrpc.NewMinogrpc(minogrpc.ParseAddress("127.0.0.1", 0),
		&url.URL{Host: "node.example.org:2000"}, tree.NewRouter(minogrpc.NewAddressFactory()))
	require.NoError(t, err)
	require.Equal(t, "grpcs://node.example.org:2000", node.GetAddress().String())
	require.NoError(t, node.Stop())
}

// badStore cannot store.
type badStore struct{ certs.Storage }

func (badStore) Store(mino.Address, certs.CertChain) error {
	return errors.New("disk full")
}

// badRandom has no randomness.
type badRandom struct{}

func (badRandom) Read([]byte) (int, error) {
	return 0, errors.New("no randomness")
}

func TestNewMinogrpc_FailureReleasesThePort(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)

	r := tree.NewRouter(minogrpc.NewAddressFactory())
	cases := map[string]struct {
		public *url.URL
		router router.Router
		opt    minogrpc.Option
		err    string
	}{
		"no router":       {nil, nil, minogrpc.NoTLS(), "no router"},
		"unknown scheme":  {&url.URL{Scheme: "ws", Host: "h:1"}, r, minogrpc.NoTLS(), "unknown scheme"},
		"port 0":          {&url.URL{Scheme: "grpc", Host: "h:0"}, r, minogrpc.NoTLS(), "it has no port: give the one"},
		"port 00":         {&url.URL{Scheme: "grpcs", Host: "h:00"}, r, minogrpc.WithCert(nil), "it has no port"},
		"any IPv4":        {&url.URL{Scheme: "grpc", Host: "0.0.0.0:1"}, r, minogrpc.NoTLS(), "give the public URL"},
		"any IPv6":        {&url.URL{Scheme: "grpcs", Host: "[::]:1"}, r, minogrpc.WithCert(nil), "the public URL"},
		"any, mapped":     {&url.URL{Scheme: "grpc", Host: "[::ffff:0.0.0.0]:1"}, r, minogrpc.NoTLS(), "public"},
		"no port":         {&url.URL{Host: "h"}, r, minogrpc.NoTLS(), "missing port"},
		"plain with TLS":  {&url.URL{Scheme: "grpc", Host: "h:1"}, r, minogrpc.WithCert(nil), "NoTLS"},
		"bad store":       {nil, r, minogrpc.WithStorage(badStore{certs.NewInMemoryStore()}), "disk full"},
		"no randomness":   {nil, r, minogrpc.WithRandom(badRandom{}), "no randomness"},
		"no key":          {nil, r, minogrpc.WithCertificateKey("key", nil), "cannot sign"},
		"key of somebody": {nil, r, minogrpc.WithCertificateKey(key, other.Public()), "does not belong"},
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			listener := listen(t)

			_, err := minogrpc.NewMinogrpc(nil, tc.public, tc.router, tc.opt, minogrpc.WithListener(listener))
			require.ErrorContains(t, err, tc.err)

			_, err = listener.Accept()
			require.ErrorIs(t, err, net.ErrClosed)
		})
	}
}

// A node that listens on every address of its machine does not know which of them the others use.
func TestNewMinogrpc_WildcardNeedsAPublicURL(t *testing.T) {
	everywhere := &net.TCPAddr{IP: net.IPv6unspecified}
	r := tree.NewRouter(minogrpc.NewAddressFactory())

	_, err := minogrpc.NewMinogrpc(everywhere, nil, r, transport())
	require.ErrorContains(t, err, "give the public URL by which the others reach this node")

	public := &url.URL{Scheme: "grpc", Host: "host.example:2000"}
	node, err := minogrpc.NewMinogrpc(everywhere, public, r, minogrpc.NoTLS())
	require.NoError(t, err)
	require.Equal(t, "grpc://host.example:2000", node.GetAddress().String())
	require.NoError(t, node.Stop())
}

func TestNewMinogrpc_NeedsAnAddressThatIsFree(t *testing.T) {
	r := tree.NewRouter(minogrpc.NewAddressFactory())

	_, err := minogrpc.NewMinogrpc(nil, nil, r)
	require.ErrorContains(t, err, "no address")

	listener := listen(t)
	_, err = minogrpc.NewMinogrpc(listener.Addr(), nil, r)
	require.ErrorContains(t, err, "address already in use")

	require.NoError(t, listener.Close())
	node, err := minogrpc.NewMinogrpc(listener.Addr(), nil, r)
	require.NoError(t, err)
	require.NoError(t, node.Stop())
}

func TestMinogrpc_CreateRPCChecksItsNames(t *testing.T) {
	node := start(t, transport())

	for _, name := range []string{"", "a/b", "a b", "ä", "a_b", "a\n"} {
		_, err := node.CreateRPC(name, echo, texts{})
		require.ErrorContains(t, err, "invalid name", "%q", name)
		_, err = node.WithSegment(name).CreateRPC("ok", echo, texts{})
		require.ErrorContains(t, err, "invalid segment", "%q", name)
		_, err = node.WithSegment(name).WithSegment("ok").CreateRPC("ok", echo, texts{})
		require.ErrorContains(t, err, "invalid segment", "%q", name)
	}

	_, err := node.CreateRPC("ok", nil, texts{})
	require.Error(t, err)
	_, err = node.CreateRPC("ok", echo, nil)
	require.Error(t, err)
}

func TestMinogrpc_CreateRPCTakesANameOncePerSegment(t *testing.T) {
	node := start(t, transport())
	names := []mino.Mino{node, node.WithSegment("a"), node.WithSegment("a").WithSegment("b"), node.WithSegment("b")}

	for _, m := range names {
		require.Equal(t, node.GetAddress(), m.GetAddress())
		_, err := m.CreateRPC("name", echo, texts{})
		require.NoError(t, err)
	}

	for _, m := range names {
		_, err := m.CreateRPC("name", echo, texts{})
		require.ErrorContains(t, err, "already registered")
	}
}

func TestMinogrpc_SegmentsSeparateProcedures(t *testing.T) {
	node := start(t, transport())

	for _, segment := range []string{"a", "b"} {
		answer := handler{process: func(mino.Request) (serde.Message, error) { return text(segment), nil }}
		rpc := mino.MustCreateRPC(node.WithSegment(segment), rpcName, answer, texts{})

		responses, err := rpc.Call(t.Context(), text(""), playersOf(node))
		require.NoError(t, err)
		msg, err := (<-responses).GetMessageOrError()
		require.NoError(t, err)
		require.Equal(t, text(segment), msg)
	}
}
