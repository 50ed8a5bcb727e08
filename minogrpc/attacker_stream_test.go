package minogrpc_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/minogrpc/session"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Promise S2: a node that is known, says who it is, and has learned the id of a stream
// and that of a link, is none of the stream all the same. It can neither open it once more
// nor read, feed, adopt, resume or close it.
func TestAttack_KnownNodeIsNoneOfTheStream(t *testing.T) {
	ways := map[string][]string{
		"as the orchestrator":          {session.HandshakeKey, "", session.LinkKey, ""},
		"as a parent":                  {session.HandshakeKey, leaf, session.LinkKey, ""},
		"as an ancestor":               {session.HandshakeKey, leaf, session.AncestorKey, textAt(mallory)},
		"as a parent below the others": {session.HandshakeKey, leaf, session.AncestorKey, textAt(rootNode)},
		"with the link of another":     {},
		"with the next of its epochs":  {"epoch", "2"},
		"with a later one":             {"epoch", "99"},
	}

	synctest.Test(t, func(t *testing.T) {
		s := newSiege(t, nil)

		for name := range parents {
			client := s.client(t, name, s.certs[mallory])

			for way, changes := range ways {
				md := s.metadataOf(name, append(changes, "gateway", textAt(mallory))...)
				err := attackStream.call(t.Context(), client, withEpoch(md))
				require.Equal(t, codes.PermissionDenied, status.Code(err), "%s %s: %v", name, way, err)
				s.requireTold(t, name, attackStream.method, codes.PermissionDenied)
			}

			err := attackForward.call(t.Context(), client, s.metadataOf(name, "gateway", textAt(mallory)))
			require.Equal(t, codes.PermissionDenied, status.Code(err), "%s: %v", name, err)
			s.requireTold(t, name, attackForward.method, codes.PermissionDenied)
			s.requireStranger(t, name)
			s.round(t)
		}

		s.requireUndisturbed(t)
	})
}

// withEpoch gives the offer of a link the epoch that the metadata name, if any, and the
// number of what has been received.
func withEpoch(md metadata.MD) metadata.MD {
	epoch := md.Get("epoch")
	if len(epoch) == 0 {
		return md
	}

	received := append(md.Get("received"), "0")[0]

	md.Delete("epoch")
	md.Delete("received")

	// Without duplex links there is none that could be gone on with.
	offer := offerOf(1) + ";"
	for _, made := range md.Get(session.LinkKey) {
		if strings.HasPrefix(made, "duplex") {
			offer = made
		}
	}

	md.Set(session.LinkKey, strings.NewReplacer("epoch=1;", "epoch="+epoch[0]+";",
		"received=0;", "received="+received+";").Replace(offer))

	return md
}

// Promise S2: who takes part in a stream has no other part than its own: a player is a
// parent of none but those that it has opened the stream to or is above of, and in no
// other role, and it feeds none but its neighbours.
func TestAttack_PlayerHasNoOtherPart(t *testing.T) {
	asParent := []string{session.HandshakeKey, leaf, session.LinkKey, ""}
	asAncestor := []string{session.HandshakeKey, leaf, session.AncestorKey, textAt("a")}
	asOrchestrator := []string{session.HandshakeKey, "", session.LinkKey, ""}
	resuming := []string{"epoch", "2"}

	cases := []struct {
		who, victim string
		changes     []string
		code        codes.Code
	}{
		{"a", leafNode, asParent, codes.PermissionDenied},
		{"a", leafNode, asOrchestrator, codes.PermissionDenied},
		{"a", leafNode, resuming, codes.PermissionDenied},
		{"a", leafNode, asAncestor, codes.PermissionDenied},
		{leafNode, innerNode, asParent, codes.PermissionDenied},
		{leafNode, innerNode, asOrchestrator, codes.PermissionDenied},
		{innerNode, rootNode, asParent, codes.PermissionDenied},
		{innerNode, rootNode, asOrchestrator, codes.PermissionDenied},
		{innerNode, rootNode, resuming, codes.PermissionDenied},
		// These may be parents, but as what they are.
		{rootNode, innerNode, asOrchestrator, codes.PermissionDenied},
		{rootNode, leafNode, asOrchestrator, codes.PermissionDenied},
		{orchestrator, rootNode, asParent, codes.PermissionDenied},
		{orchestrator, leafNode, asParent, codes.PermissionDenied},
		{orchestrator, leafNode, asOrchestrator, codes.PermissionDenied},
	}

	synctest.Test(t, func(t *testing.T) {
		s := newSiege(t, nil)

		for _, tc := range cases {
			md := withEpoch(s.metadataOf(tc.victim, append(slices.Clip(tc.changes), "gateway", textAt(tc.who))...))
			err := attackStream.call(t.Context(), s.client(t, tc.victim, s.certs[tc.who]), md)
			require.Equal(t, tc.code, status.Code(err), "%s to %s: %v", tc.who, tc.victim, err)
			s.requireTold(t, tc.victim, attackStream.method, tc.code)
			s.round(t)
		}

		for who, victims := range map[string][]string{
			"a":          {innerNode, leafNode, "b"},
			leafNode:     {rootNode, "a"},
			rootNode:     {leafNode},
			orchestrator: {innerNode, leafNode},
		} {
			for _, victim := range victims {
				err := attackForward.call(t.Context(), s.client(t, victim, s.certs[who]),
					s.metadataOf(victim, "gateway", textAt(who)))
				require.Equal(t, codes.PermissionDenied, status.Code(err), "%s to %s: %v", who, victim, err)
				s.requireTold(t, victim, attackForward.method, codes.PermissionDenied)
				s.requireStranger(t, victim)
			}
		}

		s.requireUndisturbed(t)
	})
}

// Promise S2: an ancestor may adopt a player, and yet not go on with the link of the
// parent that it has now, however well it guesses what has come over that.
func TestAttack_LinkIsThatOfItsParent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSiege(t, nil)
		client := s.client(t, leafNode, s.certs[rootNode])

		for received := range 20 {
			md := s.metadataOf(leafNode, "epoch", "2", "received", strconv.Itoa(received), "gateway", textAt(rootNode))
			err := attackStream.call(t.Context(), client, withEpoch(md))
			require.Equal(t, codes.FailedPrecondition, status.Code(err), "%v", err)
			s.requireTold(t, leafNode, attackStream.method, codes.FailedPrecondition)
		}

		s.requireUndisturbed(t)
	})
}
