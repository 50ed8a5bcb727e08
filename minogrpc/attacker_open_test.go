package minogrpc_test

import (
	"crypto/tls"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/ptypes"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// newOpenSiege is a siege of nodes that take whom they call at its word, like those of the
// existing implementation.
func newOpenSiege(t *testing.T) *siege {
	t.Helper()

	return newSiege(t, nil, minogrpc.AllowUnauthenticatedPeers())
}

// Nodes that allow it serve a client that proves nothing and speaks TLS 1.2, as those of
// the existing implementation do, and one whose certificate nobody knows.
func TestOpen_ClientNeedsNoCertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newOpenSiege(t)
		mino.MustCreateRPC(s.nodes[innerNode], "other", echo, texts{})

		for i, config := range []*tls.Config{
			{MaxVersion: tls.VersionTLS12},
			{},
			{Certificates: []tls.Certificate{*newCertificate(t, "old")}},
		} {
			config.InsecureSkipVerify = true
			client := s.clientWith(t, innerNode, config)

			call := metadata.NewOutgoingContext(t.Context(), metadata.Pairs("apiuri", rpcName))
			answer, err := client.Call(call, &ptypes.Message{From: []byte("FBold:1"), Payload: []byte("hi")})
			require.NoError(t, err)
			require.Equal(t, "hi", string(answer.GetPayload()))

			md := streamID(i, "apiuri", "other", "gateway", "FBold:1")
			requireOpen(t, openStream(t, client, md))

			ack, err := client.Forward(metadata.NewOutgoingContext(t.Context(), md),
				packetOf("OBold:1", textAt(innerNode)))
			require.NoError(t, err)
			require.Empty(t, ack.GetErrors())
		}

		s.requireUndisturbed(t)
		require.Empty(t, s.refusals)
	})
}

// Promise S2: a certificate that is presented there counts: a node that is known does not
// pass for another one that is, nor does who has made one for its host.
func TestOpen_WrongCertificateIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newOpenSiege(t)

		for name, parent := range parents {
			for _, cert := range []*tls.Certificate{s.certs[mallory], s.certs["a"], newCertificate(t, parent)} {
				client := s.client(t, name, cert)

				for _, a := range []attack{attackStream, attackForward, attackCall, attackShare} {
					err := a.call(t.Context(), client, s.metadataOf(name))
					require.Equal(t, codes.PermissionDenied, status.Code(err), "%s: %v", a.method, err)
					s.requireTold(t, name, a.method, codes.PermissionDenied)
				}
			}
		}

		s.requireUndisturbed(t)
	})
}

// Promise S2: nobody replaces a certificate there either.
func TestOpen_CertificatesAreNeverReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newOpenSiege(t)
		before := s.believed(t)
		thief := newCertificate(t, "thief")

		for name := range s.certs {
			for _, cert := range []*tls.Certificate{nil, thief} {
				err := s.joinAs(t, cert, s.nodes[rootNode].GenerateToken(time.Hour), textAt(name), chainOf(thief))
				s.requireNotLet(t, ptypes.Overlay_Join_FullMethodName, codes.AlreadyExists, err)
			}

			ctx := metadata.NewOutgoingContext(t.Context(), metadata.Pairs("gateway", textAt(mallory)))
			_, err := s.client(t, rootNode, nil).Share(ctx,
				&ptypes.CertificateChain{Address: []byte(textAt(name)), Value: chainOf(thief)})
			s.requireNotLet(t, ptypes.Overlay_Share_FullMethodName, codes.AlreadyExists, err)
		}

		require.Equal(t, before, s.believed(t))
		s.requireUndisturbed(t)
	})
}
