package minogrpc_test

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/minogrpc/certs"
	"github.com/minogrpc/session/ptypes"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// believed returns what the stores of all the nodes hold, byte for byte.
func (s *siege) believed(t *testing.T) map[string]map[string]string {
	t.Helper()

	all := make(map[string]map[string]string)

	for name, node := range s.nodes {
		all[name] = make(map[string]string)

		require.NoError(t, node.GetCertificateStore().Range(func(addr mino.Address, chain certs.CertChain) bool {
			all[name][addr.String()] = string(chain)

			return true
		}))
	}

	return all
}

// joinAs asks the root to let in who has the certificate, as the node at the address.
func (s *siege) joinAs(t *testing.T, cert *tls.Certificate, token, address string, chain certs.CertChain) error {
	t.Helper()

	conn := s.connect(t, rootNode, presenting(cert))
	_, err := ptypes.NewOverlayClient(conn).Join(t.Context(), &ptypes.JoinRequest{
		Token: token,
		Chain: &ptypes.CertificateChain{Address: []byte(address), Value: chain},
	})

	// A host has few connections of strangers.
	require.NoError(t, conn.Close())

	return err
}

// requireNotLet checks that a Join or Share at the root was refused.
func (s *siege) requireNotLet(t *testing.T, method string, code codes.Code, err error) {
	t.Helper()

	require.Equal(t, code, status.Code(err), "%v", err)
	s.requireTold(t, rootNode, method, code)
}

// Promise S2: a token with one use is of no use to those who have seen it used, nor after
// its time.
func TestAttack_TokenIsOfNoUseTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSiege(t, nil, oneUse())
		token, old := s.nodes[rootNode].GenerateToken(time.Hour), s.nodes[rootNode].GenerateToken(time.Minute)

		newcomer, thief := newCertificate(t, "new"), newCertificate(t, "thief")
		require.NoError(t, s.joinAs(t, newcomer, token, "FBnew:1", chainOf(newcomer)))

		before := s.believed(t)
		for _, name := range s.players() {
			require.Equal(t, string(chainOf(newcomer)), before[name]["grpcs://new:1"])
		}

		time.Sleep(time.Minute)

		for _, token := range []string{token, old, "", token + token} {
			for _, address := range []string{"FBthief:1", "OBthief:1", "FCthief:1", "FBthief:2"} {
				err := s.joinAs(t, thief, token, address, chainOf(thief))
				s.requireNotLet(t, ptypes.Overlay_Join_FullMethodName, codes.PermissionDenied, err)
			}

			time.Sleep(time.Minute) // Virtual time: so many wrong ones are allowed.
		}

		// The right one is for the other, with the other's key.
		err := s.joinAs(t, thief, token, "FBnew:1", chainOf(newcomer))
		s.requireNotLet(t, ptypes.Overlay_Join_FullMethodName, codes.PermissionDenied, err)
		require.Equal(t, before, s.believed(t))
		s.requireUndisturbed(t)
	})
}

// Promise S2: who guesses tokens has but a few guesses, and learns nothing by the rest.
// Nobody else has to wait for that.
func TestAttack_GuessesAreCounted(t *testing.T) {
	const guesses = 20

	synctest.Test(t, func(t *testing.T) {
		s := newSiege(t, nil, minogrpc.WithTokenLimit(guesses, 1000))
		token := s.nodes[rootNode].GenerateToken(time.Hour)
		thief := newCertificate(t, "thief")
		before := s.believed(t)

		for range guesses {
			err := s.joinAs(t, thief, s.nodes["a"].GenerateToken(time.Hour), "FBthief:1", chainOf(thief))
			s.requireNotLet(t, ptypes.Overlay_Join_FullMethodName, codes.PermissionDenied, err)
		}

		for _, guess := range []string{token, "wrong"} {
			err := s.joinAs(t, thief, guess, "FBthief:1", chainOf(thief))
			s.requireNotLet(t, ptypes.Overlay_Join_FullMethodName, codes.ResourceExhausted, err)
		}

		require.Equal(t, before, s.believed(t))

		honest := startIn(t, s.network, "grpcs://honest:1")
		require.NoError(t, honest.Join(urlOf(t, s.nodes[rootNode]), token, digestOf(t, s.nodes[rootNode])))
		s.requireUndisturbed(t)
	})
}

// Promise S2: nobody joins as a node that is known, not even with a token: neither with a
// key of its own nor with the certificate of that node, of which it has no key.
func TestAttack_NobodyJoinsAsAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSiege(t, nil)
		before := s.believed(t)
		thief := newCertificate(t, "thief")

		for name := range s.certs {
			token := s.nodes[rootNode].GenerateToken(time.Hour)

			for _, cert := range []*tls.Certificate{thief, newCertificate(t, name)} {
				err := s.joinAs(t, cert, token, textAt(name), chainOf(s.certs[name]))
				s.requireNotLet(t, ptypes.Overlay_Join_FullMethodName, codes.PermissionDenied, err)
			}

			err := s.joinAs(t, nil, token, textAt(name), chainOf(s.certs[name]))
			s.requireNotLet(t, ptypes.Overlay_Join_FullMethodName, codes.Unauthenticated, err)

			// The other kind of address is that of the same node, to those who compare them.
			for _, address := range []string{textAt(name), "FC" + name + ":1", "OC" + name + ":1"} {
				token = s.nodes[rootNode].GenerateToken(time.Hour)
				another := newCertificate(t, name)
				err = s.joinAs(t, another, token, address, chainOf(another))
				s.requireNotLet(t, ptypes.Overlay_Join_FullMethodName, codes.AlreadyExists, err)
			}

			err = s.joinAs(t, thief, token, textAt(name), chainOf(thief))
			s.requireNotLet(t, ptypes.Overlay_Join_FullMethodName, codes.InvalidArgument, err)
		}

		require.Equal(t, before, s.believed(t))
		s.requireUndisturbed(t)
	})
}

// Promise S2: nobody spreads another certificate for a node that is known, not even one
// that all know, and not even to that node itself.
func TestAttack_NobodySharesForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSiege(t, nil)
		before := s.believed(t)
		another := newCertificate(t, "another")
		share := func(sender *tls.Certificate, gateway, address string, chain certs.CertChain) error {
			ctx := metadata.NewOutgoingContext(t.Context(), metadata.Pairs("gateway", gateway))
			_, err := s.client(t, rootNode, sender).Share(ctx,
				&ptypes.CertificateChain{Address: []byte(address), Value: chain})

			return err
		}

		for _, name := range slices.Concat([]string{orchestrator, mallory}, sieged) {
			for _, address := range []string{textAt(name), "FC" + name + ":1"} {
				err := share(s.certs[mallory], textAt(mallory), address, chainOf(another))
				s.requireNotLet(t, ptypes.Overlay_Share_FullMethodName, codes.AlreadyExists, err)
			}
		}

		for _, chain := range []certs.CertChain{
			nil, {0x30}, chainOf(another)[1:], append(slices.Clip(chainOf(another)), 0), make([]byte, 100_000),
			slices.Repeat(chainOf(another), 1000),
		} {
			err := share(s.certs[mallory], textAt(mallory), "FBanother:1", chain)
			s.requireNotLet(t, ptypes.Overlay_Share_FullMethodName, codes.InvalidArgument, err)
		}

		for _, address := range []string{"", "F", "FB", "FZanother:1", "FAanother:1"} {
			err := share(s.certs[mallory], textAt(mallory), address, chainOf(another))
			s.requireNotLet(t, ptypes.Overlay_Share_FullMethodName, codes.InvalidArgument, err)
		}

		// A stranger spreads nothing, not even about itself.
		err := share(another, "FBanother:1", "FBanother:1", chainOf(another))
		s.requireNotLet(t, ptypes.Overlay_Share_FullMethodName, codes.PermissionDenied, err)

		err = share(nil, textAt(mallory), "FBanother:1", chainOf(another))
		s.requireNotLet(t, ptypes.Overlay_Share_FullMethodName, codes.Unauthenticated, err)

		require.Equal(t, before, s.believed(t))
		s.requireUndisturbed(t)
	})
}

// Promise S2: who shares the public key of another node in a certificate of his own making
// changes nothing, neither at the others nor at that node.
func TestAttack_ForgedRenewalChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSiege(t, nil)
		before := s.believed(t)

		for _, name := range []string{orchestrator, rootNode, innerNode} {
			victim, err := x509.ParseCertificate(s.certs[name].Certificate[0])
			require.NoError(t, err)

			template := *victim
			template.NotAfter = victim.NotAfter.AddDate(100, 0, 0)

			issuer, err := x509.ParseCertificate(s.certs[mallory].Certificate[0])
			require.NoError(t, err)

			forged, err := x509.CreateCertificate(rand.Reader, &template, issuer, victim.PublicKey,
				s.certs[mallory].PrivateKey)
			require.NoError(t, err)

			ctx := metadata.NewOutgoingContext(t.Context(), metadata.Pairs("gateway", textAt(mallory)))
			_, err = s.client(t, rootNode, s.certs[mallory]).Share(ctx,
				&ptypes.CertificateChain{Address: []byte(textAt(name)), Value: forged})
			require.NoError(t, err)
		}

		require.Equal(t, before, s.believed(t))
		s.requireUndisturbed(t)
	})
}
