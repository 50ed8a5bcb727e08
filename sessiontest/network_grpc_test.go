package sessiontest_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

const server, client = "n1:1", "n2:1"

// echo is an overlay that gives back what it gets.
type echo struct {
	ptypes.UnimplementedOverlayServer
}

func (echo) Forward(_ context.Context, p *ptypes.Packet) (*ptypes.Ack, error) {
	return &ptypes.Ack{Errors: []string{string(p.GetSerialized())}}, nil
}

func (echo) Stream(stream ptypes.Overlay_StreamServer) error {
	for {
		p, err := stream.Recv()
		if err != nil {
			return err
		}

		if err := stream.Send(p); err != nil {
			return err
		}
	}
}

// newEcho starts the server and returns a client of it that is connected. Both
// are gone when the test ends: in a bubble that is required.
func newEcho(t *testing.T, n *sessiontest.Network, serverCreds, clientCreds credentials.TransportCredentials,
) ptypes.OverlayClient {
	t.Helper()

	lis, err := n.Listen(server)
	require.NoError(t, err)

	srv := grpc.NewServer(grpc.Creds(serverCreds))
	ptypes.RegisterOverlayServer(srv, echo{})

	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()

	conn, err := grpc.NewClient("passthrough:///"+server,
		grpc.WithContextDialer(n.Dialer(client)), grpc.WithTransportCredentials(clientCreds))
	require.NoError(t, err)

	t.Cleanup(func() {
		require.NoError(t, conn.Close())
		srv.Stop()
		require.NoError(t, <-served)
	})

	overlay := ptypes.NewOverlayClient(conn)
	requireEcho(t, overlay, "connected")

	return overlay
}

// newPlainEcho is newEcho without TLS.
func newPlainEcho(t *testing.T, n *sessiontest.Network) ptypes.OverlayClient {
	t.Helper()

	return newEcho(t, n, insecure.NewCredentials(), insecure.NewCredentials())
}

func requireEcho(t *testing.T, overlay ptypes.OverlayClient, text string) {
	t.Helper()

	ack, err := overlay.Forward(t.Context(), &ptypes.Packet{Serialized: []byte(text)}, grpc.WaitForReady(true))
	require.NoError(t, err)
	require.Equal(t, []string{text}, ack.GetErrors())
}

// requireStream sends a packet of that size over a stream and back.
func requireStream(t *testing.T, overlay ptypes.OverlayClient, size int) {
	t.Helper()

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()

	stream, err := overlay.Stream(ctx)
	require.NoError(t, err)

	payload := bytes.Repeat([]byte("x"), size)
	require.NoError(t, stream.Send(&ptypes.Packet{Serialized: payload}))
	p, err := stream.Recv()
	require.NoError(t, err)
	require.True(t, bytes.Equal(payload, p.GetSerialized()))
}

// newCredentials returns TLS for both sides, with a certificate of this moment.
func newCredentials(t *testing.T) (forServer, forClient credentials.TransportCredentials) {
	t.Helper()

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)

	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now(),
		NotAfter:     time.Now().Add(24 * time.Hour),
		DNSNames:     []string{"n1"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)

	pool := x509.NewCertPool()
	pool.AddCert(leaf)

	return credentials.NewServerTLSFromCert(&tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}),
		credentials.NewClientTLSFromCert(pool, "")
}

// onBothClocks runs the test in real time and in a bubble.
func onBothClocks(t *testing.T, test func(t *testing.T)) {
	t.Helper()

	t.Run("real", test)
	t.Run("bubble", func(t *testing.T) { synctest.Test(t, test) })
}

func TestNetwork_CarriesGRPC(t *testing.T) {
	onBothClocks(t, func(t *testing.T) {
		overlay := newPlainEcho(t, sessiontest.NewNetwork())
		requireEcho(t, overlay, "hello")
		requireStream(t, overlay, 1<<20)
	})
}

func TestNetwork_CarriesGRPCOverTLS(t *testing.T) {
	onBothClocks(t, func(t *testing.T) {
		forServer, forClient := newCredentials(t)
		overlay := newEcho(t, sessiontest.NewNetwork(), forServer, forClient)
		requireEcho(t, overlay, "hello")
		requireStream(t, overlay, 1<<20)
	})
}

func TestNetwork_CallTakesTheDelayOfEachWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := sessiontest.NewNetwork()
		overlay := newPlainEcho(t, n)

		n.Delay(client, server, delay)
		n.Delay(server, client, 3*delay)

		start := time.Now()
		requireEcho(t, overlay, "hello")
		require.Equal(t, 4*delay, time.Since(start))
	})
}

func TestNetwork_CallWaitsForAFrozenAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := sessiontest.NewNetwork()
		overlay := newPlainEcho(t, n)

		n.Freeze(server, client)
		time.AfterFunc(time.Hour, func() { n.Heal(client, server) })

		start := time.Now()
		requireEcho(t, overlay, "hello")
		require.Equal(t, time.Hour, time.Since(start))
	})
}

func TestNetwork_CallTimesOutOverAFrozenLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := sessiontest.NewNetwork()
		overlay := newPlainEcho(t, n)
		n.Freeze(client, server)

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()

		_, err := overlay.Forward(ctx, &ptypes.Packet{})
		require.Equal(t, codes.DeadlineExceeded, status.Code(err))
	})
}

func TestNetwork_CutEndsCallsUntilHealed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := sessiontest.NewNetwork()
		overlay := newPlainEcho(t, n)

		stream, err := overlay.Stream(t.Context())
		require.NoError(t, err)
		n.Cut(client, server)
		_, err = stream.Recv()
		require.Equal(t, codes.Unavailable, status.Code(err))
		_, err = overlay.Forward(t.Context(), &ptypes.Packet{})
		require.Equal(t, codes.Unavailable, status.Code(err))

		n.Heal(client, server)
		requireEcho(t, overlay, "back")
	})
}

func TestNetwork_CallToNobodyIsUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := sessiontest.NewNetwork()
		conn, err := grpc.NewClient("passthrough:///nobody:1", grpc.WithContextDialer(n.Dialer(client)),
			grpc.WithTransportCredentials(insecure.NewCredentials()))
		require.NoError(t, err)
		defer func() { require.NoError(t, conn.Close()) }()

		_, err = ptypes.NewOverlayClient(conn).Forward(t.Context(), &ptypes.Packet{})
		require.Equal(t, codes.Unavailable, status.Code(err))
		require.ErrorContains(t, err, "connection refused")
	})
}
