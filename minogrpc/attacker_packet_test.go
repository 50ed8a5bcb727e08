package minogrpc_test

import (
	"testing"
	"testing/synctest"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Promise S2: a player of the stream who speaks for itself is heard, and for nobody else:
// neither for a sibling, nor for the root or the orchestrator, who are above it, nor for
// somebody who takes no part.
func TestAttack_PlayerSpeaksForNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSiege(t, new(sessiontest.Peer))
		client := s.client(t, rootNode, s.certs[traitorNode])
		ctx := metadata.NewOutgoingContext(t.Context(), s.metadataOf(rootNode, "gateway", textAt(traitorNode)))
		players := append(textsOf(addressesAt(s.players()...)...), "OBorchestrator:1")

		for _, source := range []string{
			textAt("a"), textAt(rootNode), textAt(innerNode), textAt(leafNode), textAt(mallory),
			"OBroot:1", "OBd:1", "FAd:1", "FCd:1", "FBD:1",
			textAt(orchestrator), "OBorchestrator:1",
		} {
			_, err := client.Forward(ctx, packetOf(source, players...))
			require.Equal(t, codes.InvalidArgument, status.Code(err), "%q: %v", source, err)
			s.requireTold(t, rootNode, ptypes.Overlay_Forward_FullMethodName, codes.InvalidArgument)
			s.requireStranger(t, rootNode)
		}

		s.requireUndisturbed(t)

		ack, err := client.Forward(ctx, packetOf(textAt(traitorNode), "OBorchestrator:1"))
		require.NoError(t, err)
		require.Empty(t, ack.GetErrors())
		synctest.Wait()
		require.Equal(t, []text{"a lie"}, s.answers[traitorNode])
	})
}

// Promise S2: a parent, who may hand down the packets of anybody above, does not speak for
// the child itself nor for the players below it.
func TestAttack_ParentSpeaksForNobodyBelow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSiege(t, nil)
		mino.MustCreateRPC(s.nodes["a"], "other", echo, texts{})

		md := header("apiuri", "other", "gateway", textAt(mallory),
			"handshake", `{"Height":1,"Addresses":["`+encode(textAt("b"))+`"]}`)
		client := s.client(t, "a", s.certs[mallory])
		requireOpen(t, openStream(t, client, md))

		forward := func(source string) error {
			_, err := client.Forward(metadata.NewOutgoingContext(t.Context(), md), packetOf(source, textAt("a")))

			return err
		}

		for _, source := range []string{textAt("a"), textAt("b")} {
			err := forward(source)
			require.Equal(t, codes.InvalidArgument, status.Code(err), "%q: %v", source, err)
			s.requireTold(t, "a", ptypes.Overlay_Forward_FullMethodName, codes.InvalidArgument)
			s.requireStranger(t, "a")
		}

		require.NoError(t, forward(textAt("c")))
		s.requireUndisturbed(t)
	})
}
