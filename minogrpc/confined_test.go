package minogrpc_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/ptypes"
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

// Promise S3: a header counts by what it is in memory, whatever it is on the wire.
func TestConfined_StrangerSendsFewHeaders(t *testing.T) {
	node := start(t)
	client := strangerTo(t, node)

	md := metadata.Pairs("x", strings.Repeat("x", 60<<10))
	call := func() codes.Code {
		_, err := client.Call(metadata.NewOutgoingContext(t.Context(), md), &ptypes.Message{From: []byte("FBa:1")})

		return status.Code(err)
	}

	// Each counts twice, on the wire and as it is. There it may be larger by far, as the
	// wire has an index for what has been sent before.
	require.Equal(t, codes.PermissionDenied, call())
	require.Equal(t, codes.PermissionDenied, call())
	require.NotEqual(t, codes.PermissionDenied, call())
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

// strangerTo returns a client of the node that nobody knows.
func strangerTo(t *testing.T, node *minogrpc.Minogrpc) ptypes.OverlayClient {
	t.Helper()

	conn, err := grpc.NewClient(urlOf(t, node).Host,
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
			InsecureSkipVerify: true,
			Certificates:       []tls.Certificate{strangerCertificate(t)},
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
