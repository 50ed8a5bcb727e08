package minogrpc_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Promise S3: a stranger with a certificate of its own making cannot fill the memory with
// calls that are refused only when all of them has come.
func TestConfined_StrangerSendsNoLargeMessage(t *testing.T) {
	told := make(chan minogrpc.Refusal, 100)
	node := start(t, minogrpc.WithObserver(minogrpc.Observer{Refused: func(r minogrpc.Refusal) { told <- r }}))

	client := strangerTo(t, node)

	_, err := client.Call(t.Context(), &ptypes.Message{From: []byte("FB127.0.0.1:1"), Payload: make([]byte, 1000)})
	require.Equal(t, codes.PermissionDenied, status.Code(err), "%v", err)
	require.Equal(t, "/ptypes.Overlay/Call", (<-told).Method)

	_, err = client.Call(t.Context(), &ptypes.Message{From: []byte("FB127.0.0.1:1"), Payload: make([]byte, 1<<20)})
	require.Equal(t, codes.Unavailable, status.Code(err), "%v", err)

	refusal := <-told
	require.Empty(t, refusal.Method)
	require.ErrorContains(t, refusal.Err, "a stranger has sent too much")
}

// Promise S3: nor can it have calls wait for their requests by the thousand.
func TestConfined_StrangerMakesFewCalls(t *testing.T) {
	node := start(t)
	client := strangerTo(t, node)
	ended := 0

	for range 100 {
		stream, err := client.Stream(t.Context())
		require.NoError(t, err)

		_, err = stream.Recv()
		require.Error(t, err)

		if status.Code(err) == codes.ResourceExhausted {
			require.ErrorContains(t, err, "a stranger has sent too much")

			ended++
		}
	}

	require.Equal(t, 84, ended)
}

// Promise S4: a stranger does not send headers that are larger than those of a join, nor more of them,
// and they count by what they are in memory.
func TestConfined_StrangerSendsFewHeaders(t *testing.T) {
	for name, c := range map[string]struct {
		md      metadata.MD
		allowed int
	}{
		// What is sent again has an index on the wire.
		"small": {metadata.Pairs("x", strings.Repeat("x", 3<<10)), 16},
		// All of them together are more than the stranger may send.
		"new":   {nil, 9},
		"large": {metadata.Pairs("x", strings.Repeat("~", 8<<10)), 0},
		"many":  {metadata.MD{"x": make([]string, 128)}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			client := strangerTo(t, start(t))
			allowed := 0

			for i := range 20 {
				md := c.md
				if md == nil {
					md = metadata.Pairs(fmt.Sprint("x", i), strings.Repeat("~", 3<<10))
				}

				ctx := metadata.NewOutgoingContext(t.Context(), md)

				_, err := client.Call(ctx, &ptypes.Message{From: []byte("FBa:1")})
				if status.Code(err) != codes.PermissionDenied {
					break
				}

				allowed++
			}

			require.Equal(t, c.allowed, allowed)
		})
	}
}

// Promise S2: those who do not believe a node, and try again and again, keep nobody at the
// same host from it.
func TestConfined_WhoDoesNotBelieveTheNodeHarmsNobody(t *testing.T) {
	node := start(t, minogrpc.WithHandshakeLimit(3))

	for range 10 {
		conn, err := (&tls.Dialer{}).DialContext(t.Context(), "tcp", urlOf(t, node).Host)
		require.ErrorContains(t, err, "certificate")
		require.Nil(t, conn)
	}

	rpc := mino.MustCreateRPC(node, rpcName, echo, texts{})
	requireCall(t, rpc, node)
}

// A node that is known may begin with the largest message, also when it has a newer
// certificate than is stored, or was a stranger a moment ago.
func TestConfined_MemberMaySendWhatItLikes(t *testing.T) {
	node, peer := start(t), start(t)
	rpc := mino.MustCreateRPC(node, rpcName, echo, texts{})
	mino.MustCreateRPC(peer, rpcName, echo, texts{})

	// Its first call is refused, and its connection is one of a stranger.
	require.NoError(t, node.GetCertificateStore().Store(peer.GetAddress(), peer.GetCertificateChain()))
	responses, err := rpc.Call(t.Context(), text("hello"), playersOf(peer))
	require.NoError(t, err)
	_, err = (<-responses).GetMessageOrError()
	require.Equal(t, codes.PermissionDenied, status.Code(err), "%v", err)

	join(t, peer, node)
	requireCall(t, rpc, peer)

	large := text(strings.Repeat("x", 8<<20))
	responses, err = rpc.Call(t.Context(), large, playersOf(peer))
	require.NoError(t, err)
	answer, err := (<-responses).GetMessageOrError()
	require.NoError(t, err)
	require.Equal(t, large, answer)

	other := start(t)
	join(t, peer, other)
	rpc = mino.MustCreateRPC(other, rpcName, echo, texts{})
	responses, err = rpc.Call(t.Context(), large, playersOf(peer))
	require.NoError(t, err)
	answer, err = (<-responses).GetMessageOrError()
	require.NoError(t, err)
	require.Equal(t, large, answer)
}

// Promise S4: the next connection of a node that the operator has removed is that of a stranger.
func TestConfined_RemovedNodeIsAStrangerAtOnce(t *testing.T) {
	told := make(chan minogrpc.Refusal, 100)
	node := start(t, minogrpc.WithObserver(minogrpc.Observer{Refused: func(r minogrpc.Refusal) { told <- r }}))
	mino.MustCreateRPC(node, rpcName, echo, texts{})

	cert := strangerCertificate(t)
	addr := session.NewAddress("grpcs://removed:1")
	large := &ptypes.Message{From: []byte(textsOf(addr)[0]), Payload: make([]byte, 1<<20)}
	call := func() codes.Code {
		md := metadata.Pairs("apiuri", rpcName)
		_, err := clientTo(t, node, cert).Call(metadata.NewOutgoingContext(t.Context(), md), large)

		return status.Code(err)
	}

	require.NoError(t, node.GetCertificateStore().Store(addr, chainOf(&cert)))
	require.Equal(t, codes.OK, call())

	require.NoError(t, node.GetCertificateStore().Delete(addr))
	require.NotEqual(t, codes.OK, call())
	require.ErrorContains(t, (<-told).Err, "a stranger has sent too much")
}

// Promises S2, S4: a caller that presents more certificates than a node has, or larger ones, has failed
// before it proves that it has the key.
func TestConfined_TooManyCertificatesAreAFailedHandshake(t *testing.T) {
	told := make(chan minogrpc.Refusal, 100)
	node := start(t, minogrpc.WithHandshakeLimit(2),
		minogrpc.WithObserver(minogrpc.Observer{Refused: func(r minogrpc.Refusal) { told <- r }}))

	many, large := strangerCertificate(t), strangerCertificate(t)
	for range 8 {
		many.Certificate = append(many.Certificate, many.Certificate[0])
	}

	for range 7 {
		large.Certificate = append(large.Certificate, padding(t, 3<<10))
	}

	for _, cert := range []tls.Certificate{many, large} {
		_, err := clientTo(t, node, cert).Call(t.Context(), &ptypes.Message{})
		require.Equal(t, codes.Unavailable, status.Code(err), "%v", err)
		require.ErrorContains(t, (<-told).Err, "certificates of")
	}

	// The host is refused now.
	_, err := strangerTo(t, node).Call(t.Context(), &ptypes.Message{})
	require.Equal(t, codes.Unavailable, status.Code(err), "%v", err)
}

// padding returns a certificate of that many bytes and a bit.
func padding(t *testing.T, size int) []byte {
	t.Helper()

	public, secret, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)

	template := &x509.Certificate{DNSNames: []string{strings.Repeat("x", size)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, secret)
	require.NoError(t, err)

	return der
}

// Promise S2: a health check that connects and resets its connection, closes it, or is silent, is no
// failed handshake, and keeps nobody at its host out.
func TestConfined_HealthChecksAreNobodysAttempt(t *testing.T) {
	var refused atomic.Int32

	node := start(t, minogrpc.WithHandshakeLimit(2),
		minogrpc.WithObserver(minogrpc.Observer{Refused: func(minogrpc.Refusal) { refused.Add(1) }}))
	rpc := mino.MustCreateRPC(node, rpcName, echo, texts{})

	for i := range 20 {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", urlOf(t, node).Host)
		require.NoError(t, err)

		if i%2 == 0 {
			require.NoError(t, conn.(*net.TCPConn).SetLinger(0))
		}

		require.NoError(t, conn.Close())
	}

	requireCall(t, rpc, node)
	require.Zero(t, refused.Load())
}

// Promise S2: nor is one that is silent until the node gives it up.
func TestConfined_SilentConnectionIsNobodysAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := sessiontest.NewNetwork()
		t.Cleanup(network.Close)

		var refused atomic.Int32

		node := startIn(t, network, "grpcs://node:1", minogrpc.WithHandshakeLimit(1),
			minogrpc.WithObserver(minogrpc.Observer{Refused: func(minogrpc.Refusal) { refused.Add(1) }}))
		rpc := mino.MustCreateRPC(node, rpcName, echo, texts{})

		for range 3 {
			conn, err := network.Dialer("node:2")(t.Context(), "node:1")
			require.NoError(t, err)
			_, err = conn.Read(make([]byte, 1))
			require.Error(t, err, "the node gives it up")
			require.NoError(t, conn.Close())
		}

		requireCall(t, rpc, node)
		require.Zero(t, refused.Load())
	})
}

// strangerTo returns a client of the node that nobody knows.
func strangerTo(t *testing.T, node *minogrpc.Minogrpc) ptypes.OverlayClient {
	t.Helper()

	return clientTo(t, node, strangerCertificate(t))
}

// clientTo returns a client of the node that presents a certificate.
func clientTo(t *testing.T, node *minogrpc.Minogrpc, cert tls.Certificate) ptypes.OverlayClient {
	t.Helper()

	conn, err := grpc.NewClient(urlOf(t, node).Host,
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
			InsecureSkipVerify: true,
			Certificates:       []tls.Certificate{cert},
		})))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })

	return ptypes.NewOverlayClient(conn)
}

// strangerCertificate returns a certificate that nobody has stored.
func strangerCertificate(t *testing.T) tls.Certificate {
	t.Helper()

	return selfSigned(t, "stranger", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
}

// selfSigned returns a certificate for a host with a key of its own.
func selfSigned(t *testing.T, host string, from, until time.Time) tls.Certificate {
	t.Helper()

	public, secret, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)

	template := &x509.Certificate{DNSNames: []string{host}, NotBefore: from, NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, secret)
	require.NoError(t, err)

	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: secret}
}
