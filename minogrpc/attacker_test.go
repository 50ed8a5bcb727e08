package minogrpc_test

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session/ptypes"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// attack is a call of a hand-made client, whose metadata begin with those that are given.
type attack struct {
	method string
	call   func(ctx context.Context, client ptypes.OverlayClient, md metadata.MD) error
}

// The attacks. Where the call itself says who calls, it says the same as the metadata.
var (
	attackStream = attack{ptypes.Overlay_Stream_FullMethodName,
		func(ctx context.Context, client ptypes.OverlayClient, md metadata.MD) error {
			// Who is let in must not wait for ever.
			ctx, cancel := context.WithTimeout(metadata.NewOutgoingContext(ctx, md), time.Minute)
			defer cancel()

			stream, err := client.Stream(ctx)
			if err != nil {
				return err
			}

			// That would be the end of the parent's part.
			_ = stream.CloseSend()
			_, err = stream.Recv()

			return err
		}}

	attackForward = attack{ptypes.Overlay_Forward_FullMethodName,
		func(ctx context.Context, client ptypes.OverlayClient, md metadata.MD) error {
			lie := packetOf(md.Get("gateway")[0], textAt(leafNode), textAt(innerNode), textAt(rootNode))
			_, err := client.Forward(metadata.NewOutgoingContext(ctx, md), lie)

			return err
		}}

	attackCall = attack{ptypes.Overlay_Call_FullMethodName,
		func(ctx context.Context, client ptypes.OverlayClient, md metadata.MD) error {
			lie := &ptypes.Message{From: []byte(md.Get("gateway")[0]), Payload: []byte("hi")}
			_, err := client.Call(metadata.NewOutgoingContext(ctx, md), lie)

			return err
		}}

	attackShare = attack{ptypes.Overlay_Share_FullMethodName,
		func(ctx context.Context, client ptypes.OverlayClient, md metadata.MD) error {
			chain := &ptypes.CertificateChain{Address: []byte("FBnew:1"), Value: []byte("anything")}
			_, err := client.Share(metadata.NewOutgoingContext(ctx, md), chain)

			return err
		}}
)

// packetOf returns a packet as a table of the tree router makes it.
func packetOf(source string, dests ...string) *ptypes.Packet {
	encoded := make([]string, len(dests))
	for i, dest := range dests {
		encoded[i] = encode(dest)
	}

	return &ptypes.Packet{Serialized: fmt.Appendf(nil, `{"Source":"%s","Dest":["%s"],"Message":"%s"}`,
		encode(source), strings.Join(encoded, `","`), encode("a lie"))}
}

func encode(text string) string {
	return base64.StdEncoding.EncodeToString([]byte(text))
}

// parents are those who have opened the stream, by node.
var parents = map[string]string{
	rootNode: orchestrator, innerNode: rootNode, leafNode: innerNode, traitorNode: rootNode,
}

// metadataOf returns the metadata by which the parent of a node has opened its stream,
// changed by pairs of keys and values. A key without a value is taken out.
func (s *siege) metadataOf(name string, changes ...string) metadata.MD {
	s.mu.Lock()
	defer s.mu.Unlock()

	md := s.opened[name].Copy()

	for key, values := range metadata.Pairs(changes...) {
		if md.Set(key, values...); values[0] == "" {
			md.Delete(key)
		}
	}

	return md
}

// Promise S2: nobody passes for another node, whatever it is to do: not for the parent
// of a node, whose stream it would take over, read or end, nor for anybody else. That
// takes the key of that node: neither a certificate for its host nor one that is known for
// another address will do.
func TestAttack_NobodyPassesForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSiege(t, nil)

		for name, parent := range parents {
			client := func(cert *tls.Certificate) ptypes.OverlayClient { return s.client(t, name, cert) }

			for _, proof := range []struct {
				client ptypes.OverlayClient
				code   codes.Code
			}{
				{client(nil), codes.Unauthenticated},
				{client(newCertificate(t, "anywhere")), codes.PermissionDenied},
				{client(newCertificate(t, parent)), codes.PermissionDenied},
				{client(s.certs[mallory]), codes.PermissionDenied},
				{client(s.certs["a"]), codes.PermissionDenied},
			} {
				for _, a := range []attack{attackStream, attackForward, attackCall, attackShare} {
					err := a.call(t.Context(), proof.client, s.metadataOf(name))
					require.Equal(t, proof.code, status.Code(err), "%s: %v", a.method, err)
					s.requireTold(t, name, a.method, proof.code)
				}

				s.round(t)
			}
		}

		s.requireUndisturbed(t)
	})
}

// Promise S2: that somebody was known once, or will be, counts for nothing, not even on a
// connection that exists: nodes are forgotten by their operator, and certificates expire.
func TestAttack_ProofOfThePastCountsForNothing(t *testing.T) {
	for name, end := range map[string]func(s *siege){
		"forgotten": func(s *siege) {
			_ = s.nodes[rootNode].GetCertificateStore().Delete(addressAt(mallory))
		},
		"expired": func(*siege) { time.Sleep(2 * lifetime) }, // Virtual time.
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSiege(t, nil)
				client := s.client(t, rootNode, s.certs[mallory])
				md := s.metadataOf(rootNode, "gateway", textAt(mallory))
				require.NoError(t, attackCall.call(t.Context(), client, md))

				end(s)
				synctest.Wait() // The connection of a node that is forgotten has ended.

				for _, a := range []attack{attackCall, attackStream, attackForward, attackShare} {
					err := a.call(t.Context(), client, md)
					require.Equal(t, codes.PermissionDenied, status.Code(err), "%s: %v", a.method, err)
					s.requireTold(t, rootNode, a.method, codes.PermissionDenied)
				}
			})
		})
	}
}
